import Router from '@koa/router';
import type { SecretLimits } from '../secrets/routes.ts';
export function secretPage(found: { needsPhrase: boolean; expiresAt: number } | undefined): string {
  return found ? 'x' : 'y';
}
export function webRoutes(_: { limits: SecretLimits; publicUrl: string | undefined; needsToken: boolean }): Router {
  return new Router();
}

import type { Page, Route } from 'playwright-core';
import type { Api } from '../http/api.ts';

/** For whoever judges or shows what a person sees. */
export type Scene = { page: Page; server: Pick<Api, 'base' | 'create' | 'post'> & { logged(): string } };

/** Brings the page into a state, which `axe` then judges. */
export type State = (scene: Scene) => Promise<unknown>;

const ours = (status: number, code: string, headers = {}) => ({
  status,
  headers,
  body: JSON.stringify({ Error: 'A sentence of the server', code, request_id: 'x' }),
});
export const RATE_LIMITED = ours(429, 'RATE_LIMITED', { 'retry-after': '60' });
export const AWAY = ours(503, 'STORAGE_UNAVAILABLE', { 'retry-after': '1' });

/** Answers the next requests to a path in place of the server, until the next state. */
export async function answering(
  page: Page,
  path: string,
  answer: object | 'never',
  task: () => Promise<unknown>,
): Promise<void> {
  await page.route(`**/${path}`, (route: Route) => (answer === 'never' ? undefined : route.fulfill(answer)));
  await task();
}

/** Without what the page asks the server for itself. */
export async function goOffline(page: Page, task: () => Promise<unknown>): Promise<void> {
  await page.context().setOffline(true);
  await task();
  await page.context().setOffline(false);
}

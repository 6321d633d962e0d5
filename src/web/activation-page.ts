import { readFileSync } from 'node:fs';
import type { Context } from 'koa';
import type { Page } from '../http/page.ts';
import { fill, type Values } from './template.ts';

type ActivationPage = Page<{ email: string }> & { ask(ctx: Context, token: string): void };

/** No script. The form goes to our own address alone, and the address of this page, with its token, nowhere. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

const NO_PARTS = { isQuestion: false, isDone: false, isGone: false, isAway: false, token: '', email: '' };

/** The page of a link that creates an account or changes an address, read from disk once. */
export function createActivationPage(): ActivationPage {
  const template = readFileSync(new URL('page/activate.html', import.meta.url), 'utf8');

  function show(ctx: Context, title: string, values: Values): void {
    ctx.set('content-security-policy', CONTENT_SECURITY_POLICY);
    ctx.set('content-type', 'text/html; charset=utf-8');
    const root = '../'.repeat(ctx.path.split('/').length - 2) || './';
    ctx.body = fill(template, { ...NO_PARTS, title, root, ...values });
  }

  return {
    ask: (ctx, token) => show(ctx, 'Confirm your address', { isQuestion: true, token }),
    show: (ctx, { email }) => show(ctx, 'Your address is confirmed', { isDone: true, email }),
    showError(ctx, { code }) {
      const isGone = code === 'LINK_GONE' || code === 'INVALID_REQUEST';
      show(ctx, isGone ? 'This link does not work any more' : 'Hushbox cannot answer right now', {
        [isGone ? 'isGone' : 'isAway']: true,
      });
    },
  };
}

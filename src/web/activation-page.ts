import type { Context } from 'koa';
import type { Page } from '../http/page.ts';
import { createPageOf } from './show.ts';
import type { Values } from './template.ts';

export type ActivationPage = Page<{ email: string }> & { ask(ctx: Context, token: string): void };

const NO_PARTS = { isQuestion: false, isDone: false, isGone: false, isAway: false, token: '', email: '' };

/** The page of a link that creates an account or changes an address. Its form needs no script. */
export function createActivationPage(fixed: Values): ActivationPage {
  const showPage = createPageOf('activate.html', fixed, "form-action 'self'");
  const show = (ctx: Context, title: string, values: Values): void =>
    showPage(ctx, () => ({ ...NO_PARTS, title, ...values }));

  return {
    ask: (ctx, token) => show(ctx, 'Confirm your address', { isQuestion: true, token }),
    show: (ctx, { email }) => show(ctx, 'Your address is confirmed', { isDone: true, email }),
    showError(ctx, { code }) {
      const isGone = code === 'LINK_GONE' || code === 'INVALID_REQUEST';
      show(ctx, isGone ? 'This link no longer works' : 'Hushbox cannot answer right now', {
        [isGone ? 'isGone' : 'isAway']: true,
      });
    },
  };
}

import type { Context } from 'koa';
import type { Page } from '../http/page.ts';
import { createPageOf } from './show.ts';
import type { Values } from './template.ts';
import type { Texts } from './texts/en.ts';

export type ActivationPage = Page<{ email: string }> & { ask(ctx: Context, token: string): void };

const NO_PARTS = { isQuestion: false, isDone: false, isGone: false, isAway: false, token: '', email: '' };

/** The page of a link that creates an account or changes an address. Its form needs no script. */
export function createActivationPage(fixed: Values): ActivationPage {
  const showPage = createPageOf('activate.html', fixed, "form-action 'self'");
  const show = (ctx: Context, title: keyof Texts, values: Values): void =>
    showPage(ctx, (texts) => ({ ...NO_PARTS, title: texts[title], ...values }));

  return {
    ask: (ctx, token) => show(ctx, 'confirmTitle', { isQuestion: true, token }),
    show: (ctx, { email }) => show(ctx, 'confirmedTitle', { isDone: true, email }),
    showError(ctx, { code }) {
      const isGone = code === 'LINK_GONE' || code === 'INVALID_REQUEST';
      show(ctx, isGone ? 'linkGone' : 'awayTitle', {
        [isGone ? 'isGone' : 'isAway']: true,
      });
    },
  };
}

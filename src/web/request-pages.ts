import type { Context } from 'koa';
import { formatInstant } from '../http/instant.ts';
import { operation, route } from '../http/operation.ts';
import type { Route } from '../http/routing.ts';
import { createPageOf } from './show.ts';
import type { Values } from './template.ts';
import { formatUtc, type Language } from './texts/texts.ts';

/** A secret that somebody was asked for and has not filled in. */
export type OpenRequest = { note?: string | undefined; kid?: string | undefined; expiresAt: number };

export const getAskPage = operation('getAskPage', 'GET', '/ask', {
  summary: 'The page to ask somebody for a secret',
  answer: { status: 200, description: 'The page.', textType: 'text/html' },
  errors: [],
});

export type RequestPages = {
  /** `GET /ask`. */
  askRoute: Route;
  /** The link that was sent: the secret is filled in here. */
  showRequest(ctx: Context, request: OpenRequest): void;
  /** The private link, before anybody has answered. */
  showEarly(ctx: Context, request: OpenRequest): void;
};

/** @param settings what ask.html and request.html are filled with, beside `frame`. */
export function createRequestPages(frame: Values, settings: Values): RequestPages {
  const showAsk = createPageOf('ask.html', { ...frame, ...settings });
  const showRequest = createPageOf('request.html', { ...frame, ...settings });
  const showEarly = createPageOf('early.html', frame);
  return {
    askRoute: route(getAskPage, [], ({ ctx }) => showAsk(ctx)),
    showRequest: (ctx, request) => showRequest(ctx, (_texts, language) => valuesOf(request, language)),
    showEarly: (ctx, request) => showEarly(ctx, (_texts, language) => valuesOf(request, language)),
  };
}

function valuesOf({ note, kid, expiresAt }: OpenRequest, language: Language): Values {
  return {
    hasNote: note !== undefined,
    note: note ?? '',
    kid: kid ?? '',
    isSealed: kid !== undefined,
    isPlain: kid === undefined,
    expiresAt: formatInstant(expiresAt),
    expiresText: formatUtc(language, expiresAt),
  };
}

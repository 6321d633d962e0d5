import type { Context } from 'koa';
import { readCookie } from '../../http/cookies.ts';
import { varyOn } from '../../http/respond.ts';
import { en, type Texts } from './en.ts';
import { ru } from './ru.ts';

export const TEXTS = { en, ru } satisfies Readonly<Record<string, Texts>>;
export type Language = keyof typeof TEXTS;
export const LANGUAGES = Object.keys(TEXTS) as Language[];
const DEFAULT: Language = 'en';

/** Set by page/page.js, when a person chooses. */
const COOKIE = 'lang';

/** The language that a person chose here, or else the one that the browser asks for. */
export function languageOf(ctx: Context): Language {
  varyOn(ctx, 'accept-language');
  varyOn(ctx, 'cookie');
  const chosen = readCookie(ctx.req.headers.cookie, COOKIE);
  return LANGUAGES.find((language) => language === chosen) || (ctx.acceptsLanguages(LANGUAGES) as Language) || DEFAULT;
}

/** For browsers that do not run the script, which shows the reader's own time zone. */
export function formatUtc(language: Language, instant: number): string {
  const format = new Intl.DateTimeFormat(language, { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });
  return `${format.format(instant)} UTC`;
}

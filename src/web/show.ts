import { readFileSync } from 'node:fs';
import type { Context } from 'koa';
import type { BaseFinder } from '../http/origin.ts';
import { type Packed, pack, sendPacked } from './packed.ts';
import { fill, include, translate, type Values } from './template.ts';
import type { Texts } from './texts/en.ts';
import { LANGUAGES, type Language, languageOf, TEXTS } from './texts/texts.ts';

const HTML = 'text/html; charset=utf-8';

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'", // the browser itself refuses text as HTML
  "trusted-types 'none'",
].join('; ');

/** A form sent before our script runs would put what was typed into an address. */
const NO_FORMS = "form-action 'none'";

/** Shows a page. Its values can depend on the language. */
export type Show = (ctx: Context, valuesIn?: (texts: Texts, language: Language) => Values) => undefined;

/**
 * @param fixed what is the same for every request.
 * @param forms the policy for forms that the browser itself sends.
 */
export function createPageOf(name: string, fixed: Values, forms = NO_FORMS): Show {
  const templates = readTemplates(name);
  return (ctx, valuesIn = () => ({})) => {
    const language = languageOf(ctx);
    const values = { root: rootOf(ctx.path), language, ...fixed, ...valuesIn(TEXTS[language], language) };
    setHeaders(ctx, forms);
    ctx.body = fill(templates[language], values);
  };
}

/**
 * A long page that is the same for every request of a language and address of this server. It is made and compressed
 * for the first one.
 * @param path where our own pages link to it; elsewhere, and under another address than the first one, it is sent as it
 *   is, because the addresses in it differ.
 * @param addressOf the address of this server, in the page `{{address}}`.
 * @param makeParts markup that is in no file, by the names under which the page includes it.
 */
export function createLongPageOf(
  name: string,
  path: string,
  fixed: Values,
  addressOf: BaseFinder,
  makeParts: () => Readonly<Record<string, string>>,
): (ctx: Context) => undefined {
  const usualRoot = rootOf(path);
  const make = (usualAddress: string): LongPage => {
    const templates = readTemplates(name, makeParts());
    const languages = mapLanguages((language) => {
      const fillIn = (root: string, address: string): Buffer =>
        Buffer.from(fill(templates[language], { root, address, language, ...fixed }));
      return { fillIn, usual: pack(fillIn(usualRoot, usualAddress)) };
    });
    return { usualAddress, languages };
  };
  let made: LongPage | undefined;
  return (ctx) => {
    const address = addressOf(ctx.req);
    made ??= make(address);
    const { fillIn, usual } = made.languages[languageOf(ctx)];
    const root = rootOf(ctx.path);
    setHeaders(ctx, NO_FORMS);
    if (root === usualRoot && address === made.usualAddress) sendPacked(ctx, usual);
    else ctx.body = fillIn(root, address);
  };
}

type LongPage = {
  usualAddress: string;
  languages: Record<Language, { fillIn(root: string, address: string): Buffer; usual: Packed }>;
};

function readTemplates(name: string, parts: Readonly<Record<string, string>> = {}): Record<Language, string> {
  const template = include(readPart(name), (part) => parts[part] ?? readPart(`${part}.html`).trimEnd());
  return mapLanguages((language) => translate(template, TEXTS[language]));
}

function mapLanguages<T>(map: (language: Language) => T): Record<Language, T> {
  return Object.fromEntries(LANGUAGES.map((language) => [language, map(language)])) as Record<Language, T>;
}

function setHeaders(ctx: Context, forms: string): void {
  ctx.set('content-security-policy', `${CONTENT_SECURITY_POLICY}; ${forms}`);
  ctx.set('content-type', HTML);
}

/** Relative, so that pages also work behind a proxy that serves them under a path of its own. */
function rootOf(path: string): string {
  return '../'.repeat(path.split('/').length - 2) || './';
}

function readPart(name: string): string {
  return readFileSync(new URL(`page/${name}`, import.meta.url), 'utf8');
}

import { readFileSync } from 'node:fs';
import type { Context } from 'koa';
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
  const template = include(readPart(name), (part) => readPart(`${part}.html`).trimEnd());
  const templates = Object.fromEntries(LANGUAGES.map((language) => [language, translate(template, TEXTS[language])]));
  return (ctx, valuesIn = () => ({})) => {
    const language = languageOf(ctx);
    const values = { root: rootOf(ctx), language, ...fixed, ...valuesIn(TEXTS[language], language) };
    ctx.set('content-security-policy', `${CONTENT_SECURITY_POLICY}; ${forms}`);
    ctx.set('content-type', HTML);
    ctx.body = fill(templates[language] as string, values);
  };
}

/** Relative, so that pages also work behind a proxy that serves them under a path of its own. */
function rootOf({ path }: Context): string {
  return '../'.repeat(path.split('/').length - 2) || './';
}

function readPart(name: string): string {
  return readFileSync(new URL(`page/${name}`, import.meta.url), 'utf8');
}

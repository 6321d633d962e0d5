import { readFileSync } from 'node:fs';
import type { Context } from 'koa';
import { fill, include, type Values } from './template.ts';

export const HTML = 'text/html; charset=utf-8';

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

/** Answers with a page, or with a file that pages load. */
export function send(ctx: Context, type: string, content: string | Buffer, forms = NO_FORMS): undefined {
  ctx.set('content-security-policy', `${CONTENT_SECURITY_POLICY}; ${forms}`);
  ctx.set('content-type', type);
  ctx.body = content;
}

/**
 * @param fixed what is the same for every request.
 * @param forms the policy for forms that the browser itself sends.
 */
export function createPageOf(
  name: string,
  fixed: Values,
  forms?: string,
): (ctx: Context, values?: Values) => undefined {
  const template = readTemplate(name);
  return (ctx, values = {}) => send(ctx, HTML, fill(template, { root: rootOf(ctx), ...fixed, ...values }), forms);
}

/** Relative, so that pages also work behind a proxy that serves them under a path of its own. */
function rootOf({ path }: Context): string {
  return '../'.repeat(path.split('/').length - 2) || './';
}

export function readTemplate(name: string): string {
  return include(readPageFile(name).toString(), (part) => readPageFile(`${part}.html`).toString().trimEnd());
}

export function readPageFile(name: string): Buffer {
  return readFileSync(new URL(`page/${name}`, import.meta.url));
}

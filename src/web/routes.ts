import { readFileSync } from 'node:fs';
import type Router from '@koa/router';
import type { Context } from 'koa';
import type { AppError } from '../errors.ts';
import { createRouter } from '../http/routing.ts';
import { fill, type Values } from './template.ts';

export type WebParts = {
  limits: { secretMaxBytes: number; ttlMaxSeconds: number };
  /** What links are built on; without it, the address the browser used. */
  publicUrl: string | undefined;
  /** Whether creating a secret needs a token. */
  needsToken: boolean;
};

/** What a page may tell of a secret before it is read. */
type Waiting = { needsPhrase: boolean; expiresAt: number };

export type Web = {
  /** `GET /`, the page to create a secret, and what the pages load. */
  routes: Router;
  /** Answers a browser that opens a link: asks before it reads. */
  showSecretPage(ctx: Context, found: Waiting): void;
  /** Tells that browser why there is nothing to ask. */
  showErrorPage(ctx: Context, error: AppError): void;
};

const HTML = 'text/html; charset=utf-8';
const ASSETS = {
  'page.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'create.js': 'text/javascript; charset=utf-8',
  'secret.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
} as const;

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'", // a form sent before our script runs would put what was typed into an address
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'", // the browser itself refuses text as HTML
  "trusted-types 'none'",
].join('; ');

/** The pages for browsers, read from disk once and served as they are. */
export function createWeb({ limits, publicUrl, needsToken }: WebParts): Web {
  const secretPage = readPageFile('secret.html').toString();
  const errorPage = readPageFile('error.html').toString();
  const createPage = fill(readPageFile('create.html').toString(), {
    needsToken,
    publicUrl: publicUrl ?? '',
    secretMaxBytes: String(limits.secretMaxBytes),
    ttlMaxSeconds: String(limits.ttlMaxSeconds),
  });

  const routes = createRouter();
  routes.get('/', (ctx) => send(ctx, HTML, createPage));
  for (const [name, type] of Object.entries(ASSETS)) {
    const content = readPageFile(name);
    routes.get(`/assets/${name}`, (ctx) => send(ctx, type, content));
  }

  return {
    routes,
    showSecretPage(ctx, found) {
      send(ctx, HTML, fill(secretPage, { root: rootOf(ctx), ...valuesOf(found) }));
    },

    showErrorPage(ctx, { code }) {
      const isGone = code === 'KEY_NOT_FOUND';
      const title = isGone ? 'There is no secret here' : 'Hushbox cannot answer right now';
      send(ctx, HTML, fill(errorPage, { root: rootOf(ctx), title, isGone, isAway: !isGone }));
    },
  };
}

/** Relative, so that it also holds behind a proxy that serves us under a path of its own. */
function rootOf({ path }: Context): string {
  return path.endsWith('/') ? '../../' : '../';
}

function valuesOf({ needsPhrase, expiresAt }: Waiting): Values {
  const expiry = new Date(expiresAt);
  return {
    needsPhrase,
    expiresAt: expiry.toISOString(),
    expiresText: expiry.toUTCString(), // until a script puts it into the reader's own time
    curlBody: JSON.stringify(needsPhrase ? { phrase: 'the phrase' } : {}),
  };
}

function send(ctx: Context, type: string, content: string | Buffer): void {
  ctx.set('content-security-policy', CONTENT_SECURITY_POLICY);
  ctx.set('content-type', type);
  ctx.body = content;
}

function readPageFile(name: string): Buffer {
  return readFileSync(new URL(`page/${name}`, import.meta.url));
}

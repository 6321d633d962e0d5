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

type Status = { startedAt: number; uptimeSeconds: number; requests: number };

export type Web = {
  /** `GET /`, the page to create a secret, and what the pages load. */
  routes: Router;
  /** Answers a browser that opens a link: asks before it reads. */
  showSecretPage(ctx: Context, found: Waiting): void;
  /** Tells that browser why there is nothing to ask. */
  showErrorPage(ctx: Context, error: AppError): void;
  showStatusPage(ctx: Context, status: Status): void;
  showStatusErrorPage(ctx: Context): void;
};

const HTML = 'text/html; charset=utf-8';
const ASSETS = {
  'page.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'create.js': 'text/javascript; charset=utf-8',
  'secret.js': 'text/javascript; charset=utf-8',
  'status.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
} as const;

const CANNOT_ANSWER = 'Hushbox cannot answer right now';

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
  const statusPage = readPageFile('status.html').toString();
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
      const title = isGone ? 'There is no secret here' : CANNOT_ANSWER;
      send(ctx, HTML, fill(errorPage, { root: rootOf(ctx), title, isGone, isAway: !isGone, isLink: true }));
    },

    showStatusPage(ctx, { startedAt, uptimeSeconds, requests }) {
      const start = new Date(startedAt);
      const values = {
        root: rootOf(ctx),
        requests: requests.toLocaleString('en'),
        uptime: durationText(uptimeSeconds),
        startedAt: start.toISOString(),
        startedText: start.toUTCString(),
      };
      send(ctx, HTML, fill(statusPage, values));
    },

    showStatusErrorPage(ctx) {
      const values = { root: rootOf(ctx), title: CANNOT_ANSWER, isGone: false, isAway: true, isLink: false };
      send(ctx, HTML, fill(errorPage, values));
    },
  };
}

/** Relative, so that it also holds behind a proxy that serves us under a path of its own. */
function rootOf({ path }: Context): string {
  return '../'.repeat(path.split('/').length - 2) || './';
}

/** As page/status.js writes it. */
function durationText(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const time = new Date((seconds % 86_400) * 1000).toISOString().slice(11, 19);
  return days === 0 ? time : `${days} d ${time}`;
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

import { readFileSync } from 'node:fs';
import type { Context } from 'koa';
import { formatInstant } from '../http/instant.ts';
import type { ApiPart } from '../http/openapi.ts';
import { operation, route } from '../http/operation.ts';
import type { Page } from '../http/page.ts';
import type { Route } from '../http/routing.ts';
import { fill, type Values } from './template.ts';

/** The page that opens a link is an answer of `/secrets/:key`. */
const getCreatePage = operation('getCreatePage', 'GET', '/', {
  summary: 'The page to create a secret',
  answer: { status: 200, description: 'The page.', textType: 'text/html' },
  errors: [],
});

export const webApi: ApiPart = {
  tag: { name: 'pages', description: 'For browsers. The files that the pages load are not part of the interface.' },
  operations: [getCreatePage],
};

export type WebParts = {
  limits: { secretMaxBytes: number; ttlMaxSeconds: number };
  /** The base of links. Default: the address that the browser used. */
  publicUrl: string | undefined;
  /** Whether creating a secret needs a token. */
  needsToken: boolean;
};

/** What a page may show of a secret before it is read. */
type Waiting = { needsPhrase: boolean; expiresAt: number };

type Status = { startedAt: number; uptimeSeconds: number; requests: number };

export type Web = {
  /** `GET /`, the page to create a secret, and the files that pages load. */
  routes: Route[];
  /** For a browser that opens a link: asks before it reads, or says why there is nothing to read. */
  secretPage: Page<Waiting>;
  statusPage: Page<Status>;
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

/** The pages for browsers, read from disk once. */
export function createWeb({ limits, publicUrl, needsToken }: WebParts): Web {
  const createPage = fill(readPageFile('create.html').toString(), {
    needsToken,
    publicUrl: publicUrl ?? '',
    secretMaxBytes: String(limits.secretMaxBytes),
    ttlMaxSeconds: String(limits.ttlMaxSeconds),
  });
  const showCreatePage = route(getCreatePage, [], ({ ctx }) => send(ctx, HTML, createPage));
  const show = {
    secret: createPageOf('secret.html'),
    status: createPageOf('status.html'),
    error: createPageOf('error.html'),
  };

  return {
    routes: [showCreatePage, ...assetRoutes()],
    secretPage: {
      show: (ctx, found) => show.secret(ctx, valuesOf(found)),
      showError(ctx, { code }) {
        const isGone = code === 'KEY_NOT_FOUND';
        const title = isGone ? 'There is no secret here' : CANNOT_ANSWER;
        show.error(ctx, { title, isGone, isAway: !isGone, isLink: true });
      },
    },
    statusPage: {
      show(ctx, { startedAt, uptimeSeconds, requests }) {
        show.status(ctx, {
          requests: requests.toLocaleString('en'),
          uptime: durationText(uptimeSeconds),
          startedAt: formatInstant(startedAt),
          startedText: new Date(startedAt).toUTCString(),
        });
      },
      showError: (ctx) => show.error(ctx, { title: CANNOT_ANSWER, isGone: false, isAway: true, isLink: false }),
    },
  };
}

/** Not in the OpenAPI document: only our own pages load them. */
function assetRoutes(): Route[] {
  return Object.entries(ASSETS).map(([name, type]) => {
    const content = readPageFile(name);
    return { method: 'GET', path: `/assets/${name}`, run: (ctx) => void send(ctx, type, content) };
  });
}

function createPageOf(name: string): (ctx: Context, values: Values) => void {
  const template = readPageFile(name).toString();
  return (ctx, values) => void send(ctx, HTML, fill(template, { root: rootOf(ctx), ...values }));
}

/** Relative, so that pages also work behind a proxy that serves them under a path of its own. */
function rootOf({ path }: Context): string {
  return '../'.repeat(path.split('/').length - 2) || './';
}

/** The same as in page/status.js. */
function durationText(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const time = new Date((seconds % 86_400) * 1000).toISOString().slice(11, 19);
  return days === 0 ? time : `${days} d ${time}`;
}

function valuesOf({ needsPhrase, expiresAt }: Waiting): Values {
  return {
    needsPhrase,
    expiresAt: formatInstant(expiresAt),
    expiresText: new Date(expiresAt).toUTCString(), // until a script shows it in the reader's own time zone
    curlBody: JSON.stringify(needsPhrase ? { phrase: 'the phrase' } : {}),
  };
}

function send(ctx: Context, type: string, content: string | Buffer): undefined {
  ctx.set('content-security-policy', CONTENT_SECURITY_POLICY);
  ctx.set('content-type', type);
  ctx.body = content;
}

function readPageFile(name: string): Buffer {
  return readFileSync(new URL(`page/${name}`, import.meta.url));
}

import type { Context } from 'koa';
import { formatInstant } from '../http/instant.ts';
import type { ApiPart } from '../http/openapi.ts';
import { operation, route } from '../http/operation.ts';
import type { Page } from '../http/page.ts';
import type { ErrorPage } from '../http/respond.ts';
import type { Route } from '../http/routing.ts';
import { type AccountPagesParts, accountOperations, accountRoutes } from './account-pages.ts';
import { type ActivationPage, createActivationPage } from './activation-page.ts';
import { createPageOf, HTML, readPageFile, readTemplate, send } from './show.ts';
import { fill, type Values } from './template.ts';

/** The page that opens a link is an answer of `/secrets/:key`. */
const getCreatePage = operation('getCreatePage', 'GET', '/', {
  summary: 'The page to create a secret',
  answer: { status: 200, description: 'The page.', textType: 'text/html' },
  errors: [],
});

/** @param served what the pages belong to. */
export function webApi({ secrets, auth }: { secrets: boolean; auth: boolean }): ApiPart {
  return {
    tag: { name: 'pages', description: 'For browsers. The files that the pages load are not part of the interface.' },
    operations: [...(secrets ? [getCreatePage] : []), ...(auth ? accountOperations : [])],
  };
}

export type WebParts = {
  limits: { secretMaxBytes: number; ttlMaxSeconds: number };
  /** The base of links. Default: the address that the browser used. */
  publicUrl: string | undefined;
  /** Whether creating a secret needs a token. */
  needsToken: boolean;
  /** Undefined where accounts are not served. */
  accounts: AccountPagesParts | undefined;
};

/** What a page may show of a secret before it is read. */
type Waiting = { needsPhrase: boolean; expiresAt: number };

/** What a page may show to somebody who may answer a request. */
type OpenRequest = { note?: string; kid?: string; expiresAt: number };

type Receipt = {
  state: 'waiting' | 'read' | 'burned' | 'expired';
  createdAt: number;
  expiresAt: number;
  endedAt: number | undefined;
  wrongTries: number;
  reads: number;
};

type Status = { startedAt: number; uptimeSeconds: number; requests: number };

export type Web = {
  /** `GET /`, the page to create a secret. */
  createRoutes: Route[];
  /** Sign in, register, and what belongs to an account. */
  accountRoutes: Route[];
  activationPage: ActivationPage;
  /** The files that pages load. */
  assetRoutes: Route[];
  /** For a browser that opens a link: asks before it reads, or says why there is nothing to read. */
  secretPage: Page<Waiting>;
  receiptPage: Page<Receipt>;
  /** For a browser that opens the link to answer a request. */
  requestPage: Page<OpenRequest>;
  statusPage: Page<Status>;
  /** For a browser that opens an address where there is nothing to see. */
  showNoRoute: ErrorPage;
};

const ASSETS = {
  'page.css': 'text/css; charset=utf-8',
  'account.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'create.js': 'text/javascript; charset=utf-8',
  'secret.js': 'text/javascript; charset=utf-8',
  'status.js': 'text/javascript; charset=utf-8',
  'session.js': 'text/javascript; charset=utf-8',
  'who.js': 'text/javascript; charset=utf-8',
  'form.js': 'text/javascript; charset=utf-8',
  'signin.js': 'text/javascript; charset=utf-8',
  'register.js': 'text/javascript; charset=utf-8',
  'forgotten.js': 'text/javascript; charset=utf-8',
  'reset.js': 'text/javascript; charset=utf-8',
  'account.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
} as const;

/** Where the page of a secret takes the browser after it was read: see page/secret.js. */
const AFTER_READING = /\/secrets\/+read\/*$/;

/** The parts of error.html. */
const NO_PARTS = {
  isGone: false,
  isShown: false,
  isNoReceipt: false,
  isNoPage: false,
  isMisdirected: false,
  isAway: false,
  isLink: false,
};
type ErrorPart = keyof typeof NO_PARTS;

const CANNOT_ANSWER = 'Hushbox cannot answer right now';

/** The pages for browsers, read from disk once. */
export function createWeb({ limits, publicUrl, needsToken, accounts }: WebParts): Web {
  const fixed = { hasAccounts: accounts !== undefined };
  const createPage = fill(readTemplate('create.html'), {
    root: './',
    ...fixed,
    needsToken,
    publicUrl: publicUrl ?? '',
    secretMaxBytes: String(limits.secretMaxBytes),
    ttlMaxSeconds: String(limits.ttlMaxSeconds),
  });
  const showCreatePage = route(getCreatePage, [], ({ ctx }) => send(ctx, HTML, createPage));
  const show = {
    secret: createPageOf('secret.html', fixed),
    receipt: createPageOf('receipt.html', fixed),
    status: createPageOf('status.html', fixed),
    error: createPageOf('error.html', fixed),
  };
  const showError = (ctx: Context, title: string, ...parts: ErrorPart[]): void =>
    show.error(ctx, { title, ...NO_PARTS, ...Object.fromEntries(parts.map((part) => [part, true])) });

  return {
    createRoutes: [showCreatePage],
    accountRoutes: accounts ? accountRoutes(accounts, fixed) : [],
    activationPage: createActivationPage({ ...fixed, canRegister: accounts?.canRegister === true }),
    assetRoutes: assetRoutes(),
    secretPage: {
      show: (ctx, found) => show.secret(ctx, valuesOf(found)),
      showError(ctx, { code }) {
        if (code !== 'KEY_NOT_FOUND') showError(ctx, CANNOT_ANSWER, 'isAway', 'isLink');
        else if (AFTER_READING.test(ctx.path)) showError(ctx, 'The secret was shown here', 'isShown');
        else showError(ctx, 'There is no secret here', 'isGone');
      },
    },
    receiptPage: {
      show: (ctx, receipt) => show.receipt(ctx, valuesOfReceipt(receipt)),
      showError(ctx, { code }) {
        if (code === 'KEY_NOT_FOUND') showError(ctx, 'There is no receipt here', 'isNoReceipt');
        else showError(ctx, CANNOT_ANSWER, 'isAway');
      },
    },
    requestPage: {
      show: (ctx) => showError(ctx, 'There is no page here', 'isNoPage'),
      showError: (ctx) => showError(ctx, 'There is no page here', 'isNoPage'),
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
      showError: (ctx) => showError(ctx, CANNOT_ANSWER, 'isAway'),
    },
    showNoRoute(ctx, { code }) {
      if (code === 'MISDIRECTED') showError(ctx, 'This address has an unknown name', 'isMisdirected');
      else showError(ctx, 'There is no page here', 'isNoPage');
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

/** The same as in page/create.js. */
const SENTENCES = {
  waiting: 'Not read yet.',
  read: 'The secret was read.',
  burned: 'Burned: the link no longer works.',
  expired: 'Expired unread.',
} as const;
const NAMES_OF_END = { waiting: 'Expires', read: 'Read', burned: 'Burned', expired: 'Expired' } as const;

function valuesOfReceipt({ state, createdAt, expiresAt, endedAt, wrongTries, reads }: Receipt): Values {
  const endAt = endedAt ?? expiresAt;
  return {
    state,
    sentence: SENTENCES[state],
    createdAt: formatInstant(createdAt),
    createdText: new Date(createdAt).toUTCString(),
    endName: NAMES_OF_END[state],
    endAt: formatInstant(endAt),
    endText: new Date(endAt).toUTCString(),
    wrongTries: String(wrongTries),
    reads: String(reads),
  };
}

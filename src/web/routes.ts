import type { Context } from 'koa';
import { formatInstant } from '../http/instant.ts';
import type { ApiPart } from '../http/openapi.ts';
import { operation, route } from '../http/operation.ts';
import type { BaseFinder } from '../http/origin.ts';
import type { Page } from '../http/page.ts';
import type { ErrorPage } from '../http/respond.ts';
import type { Route } from '../http/routing.ts';
import { type AccountPagesParts, accountOperations, accountRoutes } from './account-pages.ts';
import { type ActivationPage, createActivationPage } from './activation-page.ts';
import { assetRoutes } from './assets.ts';
import { frameOf, type Operator } from './operator.ts';
import { type Receipt, valuesOfReceipt } from './receipt-page.ts';
import { type ApiDocument, renderReference } from './reference/reference.ts';
import { createRequestPages, getAskPage, type OpenRequest } from './request-pages.ts';
import { createLongPageOf, createPageOf } from './show.ts';
import type { Values } from './template.ts';
import type { Texts } from './texts/en.ts';
import { formatUtc, type Language } from './texts/texts.ts';

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
    operations: [...(secrets ? [getCreatePage, getAskPage] : []), ...(auth ? accountOperations : [])],
  };
}

export type WebParts = {
  limits: { secretMaxBytes: number; ttlMaxSeconds: number };
  /** The base of links. Default: the address that the browser used. */
  publicUrl: string | undefined;
  /** Whether creating a secret needs a token. */
  needsToken: boolean;
  operator: Operator;
  /** Undefined where accounts are not served. */
  accounts: AccountPagesParts | undefined;
  /** The address of this server, for the examples of the API reference. */
  baseOf: BaseFinder;
  /** What the API reference says. */
  describe(): ApiDocument;
};

/** What a page may show of a secret before it is read. */
type Waiting = {
  needsPhrase: boolean;
  expiresAt: number;
  /** Of a secret that its sender sealed. */
  sealed?: { alg: string; kid: string; cty?: string };
};

/** Of a request that nobody has answered yet. */
type NotAnswered = Omit<OpenRequest, 'kid'> & { answered: false };

type Status = { startedAt: number; uptimeSeconds: number; requests: number };

export type Web = {
  /** `GET /`, the page to create a secret, and `GET /ask`, the page to ask for one. */
  createRoutes: Route[];
  /** Sign in, register, and what belongs to an account. */
  accountRoutes: Route[];
  activationPage: ActivationPage;
  /** The files that pages load. */
  assetRoutes: Route[];
  /** For a browser that opens a link: asks before it reads, or says why there is nothing to read. */
  secretPage: Page<Waiting | NotAnswered>;
  /** For a browser that opens the link of a request: the secret is filled in there. */
  requestPage: Page<OpenRequest>;
  receiptPage: Page<Receipt>;
  statusPage: Page<Status>;
  /** The API reference. */
  showReference(ctx: Context): undefined;
  /** For a browser that opens an address where there is nothing to see. */
  showNoRoute: ErrorPage;
};

/** Where the page of a secret takes the browser after it was read: see page/secret.js. */
const AFTER_READING = /\/secrets\/+read\/*$/;

/** The parts of error.html. */
const NO_PARTS = {
  isNoReceipt: false,
  isNoRequest: false,
  isNoPage: false,
  isMisdirected: false,
  isAway: false,
  isLink: false,
};
type ErrorPart = keyof typeof NO_PARTS;

/** The pages for browsers, read from disk once. */
export function createWeb({ limits, publicUrl, needsToken, operator, accounts, baseOf, describe }: WebParts): Web {
  const frame = frameOf(operator, accounts !== undefined);
  const settings = {
    needsToken,
    publicUrl: publicUrl ?? '',
    secretMaxBytes: String(limits.secretMaxBytes),
    ttlMaxSeconds: String(limits.ttlMaxSeconds),
  };
  const showCreate = createPageOf('create.html', { ...frame, ...settings });
  const requests = createRequestPages(frame, settings);
  const show = {
    secret: createPageOf('secret.html', frame),
    gone: createPageOf('gone.html', frame),
    receipt: createPageOf('receipt.html', frame),
    status: createPageOf('status.html', frame),
    error: createPageOf('error.html', frame),
  };
  const showError = (ctx: Context, title: keyof Texts, ...parts: ErrorPart[]): void =>
    show.error(ctx, (texts) => ({
      title: texts[title],
      ...NO_PARTS,
      ...Object.fromEntries(parts.map((part) => [part, true])),
    }));

  return {
    createRoutes: [route(getCreatePage, [], ({ ctx }) => showCreate(ctx)), requests.askRoute],
    accountRoutes: accounts ? accountRoutes(accounts, frame) : [],
    activationPage: createActivationPage({ ...frame, canRegister: accounts?.canRegister === true }),
    assetRoutes: assetRoutes(operator.logo),
    secretPage: {
      show(ctx, found) {
        if ('answered' in found) requests.showEarly(ctx, found);
        else show.secret(ctx, (_texts, language) => valuesOf(found, language));
      },
      showError(ctx, { code }) {
        if (code !== 'KEY_NOT_FOUND') return showError(ctx, 'awayTitle', 'isAway', 'isLink');
        const wasRead = AFTER_READING.test(ctx.path);
        const title = wasRead ? 'shownTitle' : 'goneTitle';
        show.gone(ctx, (texts) => ({ title: texts[title], isGone: !wasRead, isShown: wasRead }));
      },
    },
    requestPage: {
      show: requests.showRequest,
      showError(ctx, { code }) {
        if (code === 'KEY_NOT_FOUND') showError(ctx, 'noRequestTitle', 'isNoRequest');
        else showError(ctx, 'awayTitle', 'isAway');
      },
    },
    receiptPage: {
      show: (ctx, receipt) => show.receipt(ctx, (texts, language) => valuesOfReceipt(receipt, texts, language)),
      showError(ctx, { code }) {
        if (code === 'KEY_NOT_FOUND') showError(ctx, 'noReceiptTitle', 'isNoReceipt');
        else showError(ctx, 'awayTitle', 'isAway');
      },
    },
    statusPage: {
      show: (ctx, status) => show.status(ctx, (_texts, language) => valuesOfStatus(status, language)),
      showError: (ctx) => showError(ctx, 'awayTitle', 'isAway'),
    },
    showReference: createLongPageOf('reference.html', '/docs/', frame, baseOf, () => {
      const { text, contents } = renderReference(describe());
      return { 'made-text': text, 'made-contents': contents };
    }),
    showNoRoute(ctx, { code }) {
      if (code === 'MISDIRECTED') showError(ctx, 'misdirectedTitle', 'isMisdirected');
      else showError(ctx, 'noPageTitle', 'isNoPage');
    },
  };
}

function valuesOfStatus({ startedAt, uptimeSeconds, requests }: Status, language: Language): Values {
  return {
    requests: requests.toLocaleString(language),
    uptime: durationText(uptimeSeconds),
    startedAt: formatInstant(startedAt),
    startedText: formatUtc(language, startedAt),
  };
}

/** The same as in page/status.js. */
function durationText(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const time = new Date((seconds % 86_400) * 1000).toISOString().slice(11, 19);
  return days === 0 ? time : `${days} d ${time}`;
}

function valuesOf({ needsPhrase, expiresAt, sealed }: Waiting, language: Language): Values {
  return {
    needsPhrase,
    expiresAt: formatInstant(expiresAt),
    expiresText: formatUtc(language, expiresAt),
    isSealed: sealed !== undefined,
    isPlain: sealed === undefined,
    alg: sealed?.alg ?? '',
    kid: sealed?.kid ?? '',
    hasFiles: sealed?.cty !== undefined,
    curlBody: JSON.stringify(needsPhrase ? { phrase: 'the phrase' } : {}),
  };
}

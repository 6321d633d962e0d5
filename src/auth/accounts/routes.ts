import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from 'koa';
import { AppError } from '../../errors.ts';
import { route } from '../../http/operation.ts';
import { type Page, pageOrJson } from '../../http/page.ts';
import { addHeaders } from '../../http/respond.ts';
import type { Route } from '../../http/routing.ts';
import { countBadToken, type Limiter, per } from '../../limits/limiter.ts';
import type { MailLanguage } from '../../mail/mailer.ts';
import { type AuthenticateParts, createAuthenticate } from '../sessions/authenticate.ts';
import { clearCookies } from '../sessions/browser-cookies.ts';
import { isSecureAt } from '../sessions/routes.ts';
import {
  activate,
  changeEmail,
  changeMe,
  changePassword,
  deleteMe,
  forgetPassword,
  getMe,
  MAY_COME,
  register,
  resendLink,
  resetPassword,
  showActivation,
} from './operations.ts';
import type { Change, OwnAccount } from './own-account.ts';
import type { PasswordResets } from './password-reset.ts';
import { parseProfile } from './profile.ts';
import type { Asked, Registrations } from './registration.ts';
import type { Account } from './store.ts';

/** Of questions that send a mail to an address if it is known. Above it none is sent. */
const ASK_LIMIT = per(60_000, 300);
/** Such a question is answered after this time, which is longer than its work. */
const ANSWER_MS = 100;

/** The page of a link that creates an account or changes an address. */
export type ActivationPage = Page<{ email: string }> & {
  /** With a button that sends the token. */
  ask(ctx: Context, token: string): void;
};

export type AccountRouteParts = AuthenticateParts & {
  registrations: Registrations;
  resets: PasswordResets;
  ownAccount: OwnAccount;
  /** The base of links in mails. */
  mailBaseOf(request: IncomingMessage): string;
  activationPage: ActivationPage;
};

/** Registration, forgotten passwords, and what a person does with the own account. */
export function accountRoutes(parts: AccountRouteParts): Route[] {
  return [...askingRoutes(parts), ...activationRoutes(parts), ...ownRoutes(parts)];
}

function askingRoutes(parts: AccountRouteParts): Route[] {
  const { registrations, resets, limiter, networksOf, mailBaseOf } = parts;

  /** Before the body is read: the connection may be gone after it. */
  function askedBy(ctx: Context): Asked {
    const { req, state } = ctx;
    const { network } = networksOf(req);
    return { network, base: mailBaseOf(req), language: languageOf(ctx), requestId: state.requestId };
  }

  /** Neither what the answer says nor when it comes shows whether a mail is sent. In a full store there is none. */
  async function answerAlways({ network }: Asked, send: () => Promise<void>): Promise<typeof MAY_COME> {
    const isTime = sleep(ANSWER_MS);
    const taken = await limiter.reserve([{ name: `asked for a mail from ${network}`, limit: ASK_LIMIT }]);
    if (!('retryAfterMs' in taken)) await send().catch(unlessFull);
    await isTime;
    return MAY_COME;
  }

  return [
    route(register, [], async ({ ctx, readBody }) => {
      const asked = askedBy(ctx);
      const { email, password, profile = {} } = await readBody();
      return registrations.register({ email, password, profile }, asked);
    }),

    route(resendLink, [], async ({ ctx, readBody }) => {
      const asked = askedBy(ctx);
      const { email } = await readBody();
      return answerAlways(asked, () => registrations.resend(email, asked));
    }),

    route(forgetPassword, [], async ({ ctx, readBody }) => {
      const asked = askedBy(ctx);
      const { email } = await readBody();
      return answerAlways(asked, () => resets.forgot(email, asked));
    }),

    route(resetPassword, [], async ({ ctx, readBody }) => {
      const asked = askedBy(ctx);
      const { token, password } = await readBody();
      await countingBad(limiter, asked.network, () => resets.reset({ token, password }, asked));
      return undefined;
    }),
  ];
}

function unlessFull(error: unknown): void {
  if (!(error instanceof AppError && error.code === 'STORAGE_FULL')) throw error;
}

function activationRoutes({ registrations, limiter, networksOf, activationPage }: AccountRouteParts): Route[] {
  return [
    route(showActivation, [], ({ ctx, query: { token = '' } }) => {
      activationPage.ask(ctx, token);
      return undefined;
    }),

    route(activate, [], ({ ctx, request, query, readBody }) => {
      const { network } = networksOf(request);
      const asked = { language: languageOf(ctx), requestId: ctx.state.requestId };
      const find = async (): Promise<{ email: string }> => {
        const { token = query.token ?? '' } = await readBody();
        return countingBad(limiter, network, () => registrations.activate(token, asked));
      };
      return pageOrJson(ctx, activationPage, find, (found) => found);
    }),
  ];
}

function ownRoutes(parts: AccountRouteParts): Route[] {
  const { ownAccount, networksOf, baseOf, mailBaseOf } = parts;
  const authenticate = createAuthenticate(parts);

  function changeBy(ctx: Context): Omit<Change, 'current'> {
    const { req, state } = ctx;
    return {
      networks: networksOf(req),
      base: mailBaseOf(req),
      language: languageOf(ctx),
      requestId: state.requestId,
    };
  }

  return [
    route(getMe, [], async ({ ctx }) => meOf(await ownAccount.look(await authenticate(ctx)))),

    route(changeMe, [], async ({ ctx, readBody }) => {
      const session = await authenticate(ctx);
      const { profile } = await readBody();
      return meOf(await ownAccount.changeProfile(session, profile));
    }),

    route(deleteMe, [], async ({ ctx, request, readBody }) => {
      const change = changeBy(ctx);
      const session = await authenticate(ctx);
      const cookies = ctx.state.isByCookie ? clearCookies(isSecureAt(baseOf(request))) : [];
      const { current } = await readBody();
      await ownAccount.delete(session, { ...change, current });
      if (cookies.length > 0) addHeaders(ctx, { 'set-cookie': cookies });
      return undefined;
    }),

    route(changePassword, [], async ({ ctx, readBody }) => {
      const change = changeBy(ctx);
      const session = await authenticate(ctx);
      const { current, password } = await readBody();
      await ownAccount.changePassword(session, password, { ...change, current });
      return undefined;
    }),

    route(changeEmail, [], async ({ ctx, readBody }) => {
      const change = changeBy(ctx);
      const session = await authenticate(ctx);
      const { current, email } = await readBody();
      await ownAccount.changeEmail(session, email, { ...change, current });
      return MAY_COME;
    }),
  ];
}

/** @throws AppError LINK_GONE, or RATE_LIMITED after too many of them from one network. */
async function countingBad<T>(limiter: Limiter, network: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    const isBad = error instanceof AppError && error.code === 'LINK_GONE';
    throw (isBad && (await countBadToken(limiter, network))) || error;
  }
}

function languageOf(ctx: Context): MailLanguage {
  return ctx.acceptsLanguages('en', 'ru') === 'ru' ? 'ru' : 'en';
}

function meOf({ id, email, role, profile }: Account) {
  return { user_id: id, email, role, profile: parseProfile(profile) };
}

import type { ExecutionContext } from 'ava';
import type { TestServerOptions } from '../../support/http/server.ts';
import type { ReceivedMail } from '../../support/mail/message.ts';
import { type MailServer, startMailServer } from '../../support/mail/smtp.ts';
import { until } from '../../support/process/program.ts';
import { type Engine, SQLITE } from '../../support/storage/storage.ts';
import { type Browser, codeOf, createBrowser } from '../sessions/browser-support.ts';
import { type AuthServer, startAuth } from '../sessions/support.ts';

export const ADDRESS = 'some@email.ee';
export const SECRET = 'ghbdtn007';
export const PROFILE = {
  type: 'worker',
  first_name: 'Роман',
  last_name: 'Романов',
  birth_date: '2000-08-25T12:00:00+03:00',
  sex: 'male',
};

export type AccountServer = AuthServer & {
  mail: MailServer;
  register(wish?: object, headers?: Record<string, string>): Promise<Response>;
  /** Waits for so many mails to an address. @returns the last one. */
  mailNumber(count: number, address?: string): Promise<ReceivedMail>;
  /** Of the link in that mail. */
  tokenNumber(count: number, address?: string): Promise<string>;
  activate(token: string): Promise<string>;
  /** An account that was registered and activated, and a browser that is signed in to it. */
  signUp(wish?: { email?: string }): Promise<Browser>;
  signIn(email?: string, password?: string): Promise<{ browser: Browser; code: string }>;
};

/** A server with one account, and a real mail server. */
export async function startAccounts(
  t: ExecutionContext,
  engine: Pick<Engine, 'place'> = SQLITE,
  env: Record<string, string> = {},
  options: Omit<TestServerOptions, 'place' | 'env'> = {},
): Promise<AccountServer> {
  const mail = await startMailServer(t);
  const server = await startAuth(t, engine, { SMTP_URL: mail.url, ...env }, options);
  const mailsTo = (address: string): ReceivedMail[] => mail.mails.filter(({ to }) => to === address);
  const accounts: AccountServer = {
    ...server,
    mail,
    register: (wish, headers) =>
      server.post('/api/v1/register/', { email: ADDRESS, password: SECRET, profile: PROFILE, ...wish }, headers),
    async mailNumber(count, address = ADDRESS) {
      await until(`mail ${count} to ${address}`, () => mailsTo(address).length >= count);
      return mailsTo(address)[count - 1] as ReceivedMail;
    },
    async tokenNumber(count, address) {
      const { link = '' } = await accounts.mailNumber(count, address);
      return new URL(link).searchParams.get('token') ?? '';
    },
    activate: async (token) => codeOf(await server.post('/api/v1/activate/', { token })),
    async signUp({ email = ADDRESS } = {}) {
      const before = mailsTo(email).length;
      t.is((await accounts.register({ email })).status, 201);
      t.is(await accounts.activate(await accounts.tokenNumber(before + 1, email)), '200');
      const { browser, code } = await accounts.signIn(email);
      t.is(code, '200');
      return browser;
    },
    async signIn(email = ADDRESS, password = SECRET) {
      const browser = createBrowser(server);
      return { browser, code: await codeOf(await browser.send('POST', '/api/v1/login/', { email, password })) };
    },
  };
  return accounts;
}

/** What a client sees of an answer, but for what differs each time. */
export async function visibleOf(response: Response, address: string): Promise<object> {
  const headers = Object.fromEntries([...response.headers].filter(([name]) => !/^(x-request-id|date)$/.test(name)));
  return { status: response.status, headers, body: (await response.text()).replaceAll(address || '…', '…') };
}

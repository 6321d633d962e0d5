import type { ExecutionContext } from 'ava';
import { createAccounts } from '../../../src/auth/accounts/accounts.ts';
import { createPasswordRules } from '../../../src/auth/accounts/password.ts';
import { hashAtOnce } from '../../../src/hashing/argon2.ts';
import { remember } from '../process/leaks.ts';
import type { Place } from '../storage/storage.ts';

export const EMAIL = 'owner@example.com';
const PASSWORD = 'a password of its owner';

/** An account in the store of a program. */
export async function addAccount(t: ExecutionContext, place: Place): Promise<void> {
  const storage = await place.open();
  const rules = createPasswordRules();
  const accounts = createAccounts({ store: storage.accounts, rules, hash: hashAtOnce, clock: Date.now });
  t.deepEqual(await accounts.create({ email: EMAIL, password: PASSWORD, role: 'member' }), { email: EMAIL });
  await storage.close();
}

export async function logIn(base: string): Promise<string> {
  const response = await post(`${base}/login`, { username: EMAIL, password: PASSWORD });
  const { token } = (await response.json()) as { token: string };
  remember(token);
  return token;
}

export async function logOut(base: string, token: string): Promise<void> {
  const { status } = await fetch(`${base}/logout`, { method: 'DELETE', headers: { token } });
  if (status !== 204) throw new Error(`${status} to a log-out`);
}

/** @returns the access token of a browser. */
export async function signIn(base: string): Promise<string> {
  const response = await post(`${base}/api/v1/login/`, { email: EMAIL, password: PASSWORD });
  const values = response.headers.getSetCookie().map((cookie) => cookie.slice(cookie.indexOf('=') + 1).split(';')[0]);
  for (const value of values) remember(value);
  const access = response.headers.getSetCookie().find((cookie) => cookie.startsWith('access_token='));
  return /=([^;]+)/.exec(access ?? '')?.[1] as string;
}

function post(url: string, body: object): Promise<Response> {
  return fetch(url, { method: 'POST', body: JSON.stringify(body) });
}

import { hash, randomUUID } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { createAccounts } from '../../../src/auth/accounts/accounts.ts';
import { createPasswordRules } from '../../../src/auth/accounts/password.ts';
import type { Role } from '../../../src/auth/accounts/store.ts';
import { hashAtOnce } from '../../../src/hashing/argon2.ts';
import { startServer, type TestServer, type TestServerOptions } from '../../support/http/server.ts';
import { remember } from '../../support/process/leaks.ts';
import type { Engine } from '../../support/storage/storage.ts';

export const EMAIL = 'owner@example.com';
export const PASSWORD = 'a password of its owner';

export type AuthServer = TestServer & {
  /** By the operator's own rules. */
  accounts: ReturnType<typeof createAccounts>;
  addAccount(email?: string, role?: Role): Promise<void>;
  tryLogIn(input?: object, headers?: Record<string, string>): Promise<Response>;
  /** @returns a token. @throws when the answer is not 200. */
  logIn(headers?: Record<string, string>): Promise<string>;
  /** What the internal listener says of a token. */
  validate(token: string, more?: object, headers?: Record<string, string>): Promise<Record<string, unknown>>;
};

/** A server with one account. */
export async function startAuth(
  t: ExecutionContext,
  engine: Pick<Engine, 'place'>,
  env: Record<string, string> = {},
  options: Omit<TestServerOptions, 'place' | 'env'> = {},
): Promise<AuthServer> {
  const server = await startServer(t, { place: await engine.place(t), env, ...options });
  const accounts = createAccounts({
    store: server.storage.accounts,
    rules: createPasswordRules(),
    hash: hashAtOnce,
    clock: () => server.clock.now,
  });
  const auth: AuthServer = {
    ...server,
    accounts,
    async addAccount(email = EMAIL, role = 'member') {
      t.deepEqual(await accounts.create({ email, password: PASSWORD, role }), { email });
    },
    tryLogIn: (input = {}, headers = {}) =>
      server.post('/login', { username: EMAIL, password: PASSWORD, ...input }, headers),
    async logIn(headers) {
      const response = await auth.tryLogIn({}, headers);
      const body = (await response.json()) as { token: string };
      if (response.status !== 200) throw new Error(`${response.status} ${JSON.stringify(body)}`);
      return body.token;
    },
    async validate(token, more = {}, headers = {}) {
      remember(token);
      const response = await server.internal.post('/validateToken', { token, ...more }, headers);
      return (await response.json()) as Record<string, unknown>;
    },
  };
  remember(PASSWORD);
  await auth.addAccount();
  return auth;
}

export type Client = {
  jwk: JWK;
  privateKey: CryptoKey;
  /** @param changes of claims or head; undefined leaves one out. */
  prove(claims: Record<string, unknown>, head?: Record<string, unknown>): Promise<string>;
};

/** A client with a key of its own. */
export async function createClient(now: () => number, alg = 'ES256'): Promise<Client> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(publicKey);
  return {
    jwk,
    privateKey,
    prove: (claims, head = {}) =>
      new SignJWT(
        JSON.parse(JSON.stringify({ jti: randomUUID(), iat: Math.floor(now() / 1000), ...claims })) as object as never,
      )
        .setProtectedHeader(JSON.parse(JSON.stringify({ alg, typ: 'dpop+jwt', jwk, ...head })) as { alg: string })
        .sign(privateKey, { crit: { x: true } }), // a client may know a header that we do not
  };
}

export function athOf(token: string): string {
  return hash('sha256', token, 'base64url');
}

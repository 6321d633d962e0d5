import { randomBytes } from 'node:crypto';
import type { Role } from '../../../src/auth/accounts/store.ts';
import { createToken, hashToken } from '../../../src/auth/sessions/tokens.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { remember } from '../process/leaks.ts';

export type LoggedIn = { token: string; accountId: string; sessionId: string; email: string };

/** @param keyThumbprint of the key that the token is bound to. */
type Wish = { email?: string; role?: Role; keyThumbprint?: string | undefined };

const DAY_MS = 86_400_000;

/** An account with a session, put into the store: no password is hashed. */
export async function logInAt(
  { accounts, sessions }: Pick<Storage, 'accounts' | 'sessions'>,
  now: number,
  { email = `${randomBytes(6).toString('hex')}@example.com`, role = 'member', keyThumbprint }: Wish = {},
): Promise<LoggedIn> {
  const accountId = randomBytes(16).toString('base64url');
  await accounts.create({ id: accountId, email, passwordHash: 'none', role, profile: '{}', createdAt: now });
  const token = createToken();
  remember(token);
  const sessionId = randomBytes(16).toString('base64url');
  const session = {
    ...{
      id: sessionId,
      accountId,
      kind: 'token' as const,
      credentialHash: hashToken(token) as Buffer,
      accountVersion: 1,
      createdAt: now,
    },
    ...{ expiresAt: now + DAY_MS, endsAt: now + DAY_MS, userAgent: '', keyThumbprint },
  };
  if (!(await sessions.create(session, 100))) throw new Error('no session was created');
  return { token, accountId, sessionId, email };
}

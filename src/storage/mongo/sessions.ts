import type { Collection, Filter } from 'mongodb';
import {
  BIND_MS,
  type NewSession,
  type Session,
  type SessionName,
  type SessionStore,
} from '../../auth/sessions/store.ts';
import { ENABLED } from './accounts.ts';
import type { AccountDocument, SessionDocument } from './collections.ts';
import { translateFailures } from './engine/unavailable.ts';
import { removeOver } from './remove-over.ts';

type Parts = { accounts: () => Collection<AccountDocument>; sessions: () => Collection<SessionDocument> };

/**
 * Sessions in MongoDB. A session lives while its document has not expired and its id is in its account's document: that
 * list decides which sessions have ended, because it changes in one step with the account. Ids never come back, so that a
 * session whose document was found before its id was there at that moment.
 */
export function createMongoSessionStore(parts: Parts): SessionStore {
  return translateFailures({
    ...createCreating(parts),
    ...createLooking(parts),
    ...createKeeping(parts),
    ...createEnding(parts),
  } satisfies SessionStore);
}

function createCreating({ accounts, sessions }: Parts): Pick<SessionStore, 'create'> {
  /** Otherwise ids of sessions that have expired could push out one that lives. */
  async function removeExpired({ id, accountId, createdAt }: NewSession, most: number): Promise<void> {
    const account = await accounts().findOne({ _id: accountId }, { projection: { sessions: 1 } });
    if (!account || account.sessions.length < most) return;
    const kept = { accountId, id: { $in: account.sessions }, removeAt: { $gt: new Date(createdAt) } };
    const living = await sessions()
      .find(kept, { projection: { id: 1 } })
      .map((session) => session.id)
      .toArray();
    const over = account.sessions.filter((one) => one !== id && !living.includes(one));
    if (over.length > 0) await accounts().updateOne({ _id: accountId }, { $pull: { sessions: { $in: over } } });
  }

  return {
    /** The document first: an id without its document is one that has expired. */
    async create(session, most) {
      const { id, accountId, accountVersion } = session;
      if (most > 1) await removeExpired(session, most);
      await sessions().insertOne(documentOf(session));
      const { matchedCount } = await accounts().updateOne(
        { _id: accountId, version: accountVersion, ...ENABLED },
        { $push: { sessions: { $each: [id], $slice: -most } } },
      );
      if (matchedCount === 0) await sessions().deleteMany({ accountId, id });
      return matchedCount === 1;
    },
  };
}

function createLooking({ accounts, sessions }: Parts): Pick<SessionStore, 'find' | 'list'> {
  return {
    async find(credentialHash, now) {
      const found = await sessions().findOne({ _id: credentialHash, removeAt: { $gt: new Date(now) } });
      if (!found) return undefined;
      const account = await accounts().findOne(
        { _id: found.accountId, sessions: found.id, ...ENABLED },
        { projection: { email: 1, role: 1 } },
      );
      return account ? sessionOf(found, account) : undefined;
    },

    async list(accountId, now) {
      const account = await accounts().findOne(
        { _id: accountId, ...ENABLED },
        { projection: { email: 1, role: 1, sessions: 1 } },
      );
      if (!account) return [];
      const filter = { accountId, id: { $in: account.sessions }, removeAt: { $gt: new Date(now) } };
      const found = new Map((await sessions().find(filter).toArray()).map((session) => [session.id, session]));
      return account.sessions.toReversed().flatMap((id) => {
        const session = found.get(id);
        return session ? [sessionOf(session, account)] : [];
      });
    },
  };
}

function createKeeping({
  accounts,
  sessions,
}: Parts): Pick<SessionStore, 'extend' | 'rotate' | 'offerCookie' | 'armCookie'> {
  /** Changes a session's document, which does no harm if the session has ended. @returns false then. */
  async function change(
    { id, accountId }: SessionName,
    filter: Filter<SessionDocument>,
    set: Record<string, unknown>,
  ): Promise<boolean> {
    const { matchedCount } = await sessions().updateOne({ accountId, id, ...filter }, [{ $set: set }]);
    if (matchedCount === 0) return false;
    const account = await accounts().findOne({ _id: accountId, sessions: id, ...ENABLED }, { projection: { _id: 1 } });
    return account !== null;
  }

  /** What one more use of a session sets. */
  function used(now: number, expiresAt: number): Record<string, unknown> {
    return {
      removeAt: { $min: [new Date(expiresAt), { $toDate: '$endsAt' }] },
      usedAt: now,
      refreshes: { $add: ['$refreshes', 1] },
    };
  }

  return {
    extend: (session, now, expiresAt) => change(session, livesAt(now), used(now, expiresAt)),

    rotate: (session, from, now, expiresAt) =>
      change(
        session,
        { ...livesAt(now), generation: from },
        { ...used(now, expiresAt), generation: from + 1, rotatedAt: now },
      ),

    offerCookie: (session, cookieHash, now) =>
      change(
        session,
        {
          ...livesAt(now),
          'cookie.isArmed': { $ne: true },
          $or: [{ cookie: { $exists: false } }, { 'cookie.offeredAt': { $gt: now - BIND_MS, $lt: now + BIND_MS } }],
        },
        {
          cookie: {
            hash: { $literal: cookieHash },
            offeredAt: { $ifNull: ['$cookie.offeredAt', now] },
            isArmed: { $literal: false },
          },
        },
      ),

    armCookie: (session, cookieHash) =>
      change(session, { 'cookie.hash': cookieHash }, { 'cookie.isArmed': { $literal: true } }),
  };
}

function createEnding({ accounts, sessions }: Parts): Pick<SessionStore, 'end' | 'endAll' | 'sweepSessions'> {
  return {
    async end({ id, accountId }) {
      const ended = await accounts().updateOne({ _id: accountId, sessions: id }, { $pull: { sessions: id } });
      if (ended.matchedCount === 0) return false;
      return (await sessions().deleteMany({ accountId, id })).deletedCount === 1; // else it has expired and was removed
    },

    async endAll(accountId, except) {
      const before = await accounts().findOneAndUpdate(
        { _id: accountId },
        except === undefined ? { $set: { sessions: [] } } : { $pull: { sessions: { $ne: except } } },
        { projection: { sessions: 1 } },
      );
      const ended = before?.sessions.filter((id) => id !== except) ?? [];
      if (ended.length > 0) await sessions().deleteMany({ accountId, id: { $in: ended } });
    },

    sweepSessions: async (now, limit) => removeOver(sessions(), now, limit),
  };
}

function livesAt(now: number): Filter<SessionDocument> {
  return { removeAt: { $gt: new Date(now) } };
}

/** Of documents of an older version. */
const BEFORE_BROWSERS = { kind: 'token', generation: 0 } as const;

function documentOf({
  credentialHash,
  accountVersion: _,
  expiresAt,
  keyThumbprint,
  ...rest
}: NewSession): SessionDocument {
  return {
    _id: credentialHash,
    ...rest,
    usedAt: rest.createdAt,
    refreshes: 0,
    generation: 0,
    rotatedAt: rest.createdAt,
    ...(keyThumbprint !== undefined && { keyThumbprint }),
    removeAt: new Date(expiresAt),
  };
}

function sessionOf(document: SessionDocument, { email, role }: Pick<AccountDocument, 'email' | 'role'>): Session {
  const { _id, removeAt, keyThumbprint, cookie, ...rest } = document;
  return {
    ...BEFORE_BROWSERS,
    rotatedAt: rest.createdAt,
    ...rest,
    email,
    role,
    expiresAt: removeAt.getTime(),
    keyThumbprint,
    cookie,
  };
}

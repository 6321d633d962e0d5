import type { SQLOutputValue } from 'node:sqlite';
import { setImmediate as nextRound } from 'node:timers/promises';
import type { Refusal } from '../../../limits/limits.ts';
import { reservationOf } from '../../../secrets/budget.ts';
import { idsExpiringBefore } from '../../../secrets/keys.ts';
import { type Found, type FoundRequest, RECEIPT_MS, type Receipt, type SecretStore } from '../../../secrets/store.ts';
import { type LookUp, shareLooks } from '../../shared-look.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import { takenOf } from '../limits/procedures.ts';
import type { PackedRefusal } from './admission.ts';
import type { SecretProcedures } from './procedures.ts';

type Row = readonly SQLOutputValue[];

/** Where a row has its envelope. */
const ENVELOPE = 3;
/** An envelope that is too large to be read at once: see `createEnvelopeLook`. */
const OR_NOTHING = 'iif(length(envelope) <= 131072, envelope, NULL)';

/** Secrets in SQLite: writes go to the storage thread in groups, reads are point look-ups on the event loop. */
export function createSqliteSecretStore(commit: GroupCommit<SecretProcedures>, reader: Reader): SecretStore {
  // One statement looks everywhere, so that it misses nothing that moves on meanwhile.
  const byId = createEnvelopeLook(
    reader,
    (envelope) =>
      `SELECT 'waiting', created_at, expires_at, ${envelope}, notify, destination FROM waiting
       WHERE id = ?1 AND expires_at > ?2
       UNION ALL
       SELECT 'copy', created_at, expires_at, ${envelope}, claim_tag, NULL FROM ended WHERE id = ?1 AND copy_until > ?2
       UNION ALL
       SELECT 'requested', created_at, expires_at, ${envelope}, NULL, NULL FROM requests WHERE id = ?1 AND expires_at > ?2`,
  );
  const byRequest = reader.prepare(
    `SELECT 'open', created_at, expires_at, envelope FROM requests
     WHERE id = ?1 AND request_hash = ?2 AND expires_at > ?3
     UNION ALL
     SELECT 'answered', created_at, expires_at, tag FROM answers WHERE id = ?1 AND request_hash = ?2 AND until > ?3`,
  );
  const waitingByReceipt = reader.prepare(
    'SELECT created_at, expires_at, tries FROM waiting WHERE id = ? AND receipt = ?',
  );
  const endedByReceipt = reader.prepare(
    'SELECT state, created_at, expires_at, ended_at, tries, reads FROM ended WHERE id = ? AND receipt = ?',
  );

  return {
    async create({ id, createdAt, expiresAt, receiptHash = null, envelope, notify, creator, requestHash }) {
      const packedCreator = creator ? ([creator.client, creator.now, creator.isAdmitted] as const) : null;
      const packedNotify = notify ? ([notify.sealed, notify.destination] as const) : null;
      const rest = [envelope, packedCreator, packedNotify] as const;
      const packed = requestHash
        ? await commit.run('ask', id, createdAt, expiresAt, requestHash, ...rest)
        : await commit.run('create', id, createdAt, expiresAt, receiptHash, ...rest);
      return refusalOf(packed);
    },

    admit: async (client, now) => refusalOf(await commit.run('admit', client, now)),

    async find(id, now) {
      const row = await byId(id, now);
      return row && foundOf(row);
    },

    async reserveTry(id, now) {
      const taken = await commit.run('reserveTry', id, now);
      return taken ? reservationOf(takenOf(taken)) : undefined;
    },

    async refundTry(id) {
      await commit.run('refundTry', id);
    },

    async claim(id, now, { copy, refundTry, eventDueAt = now }) {
      const packedCopy = copy ? ([copy.envelope, copy.claimTag, copy.until] as const) : null;
      return commit.run('claim', id, now, refundTry, eventDueAt, packedCopy);
    },

    reread: async (id, now, { claimTag, maxReads, refundTry }) =>
      commit.run('reread', id, now, refundTry, claimTag, maxReads),

    async findReceipt(id, receiptHash, now) {
      const waiting = await waitingByReceipt(id, receiptHash);
      const ended = waiting ? undefined : await endedByReceipt(id, receiptHash);
      const receipt = waiting ? waitingReceipt(waiting, now) : ended && endedReceipt(ended);
      return receipt && (receipt.endedAt ?? now) + RECEIPT_MS > now ? receipt : undefined;
    },

    async burn(id, receiptHash, now, refusedUntil) {
      const wasWaiting = await commit.run('burn', id, receiptHash, now, refusedUntil);
      if (wasWaiting === null) return undefined;
      return wasWaiting ? 'burned' : 'not-waiting';
    },

    async findRequest(id, requestHash, now) {
      const row = await byRequest(id, requestHash, now);
      return row && foundRequestOf(row);
    },

    async answer(id, requestHash, now, { envelope, createdAt, receiptHash = null, repeat, answerer }) {
      const packedRepeat = repeat ? ([repeat.tag, repeat.until] as const) : null;
      const packedAnswerer = answerer ? ([answerer.client, answerer.now] as const) : null;
      const rest = [envelope, createdAt, receiptHash, packedRepeat, packedAnswerer] as const;
      const answered = await commit.run('answer', id, requestHash, now, ...rest);
      return typeof answered === 'boolean' ? answered : (refusalOf(answered) ?? false);
    },

    async withdraw(id, now) {
      const wasOpen = await commit.run('withdraw', id, now);
      if (wasOpen === null) return undefined;
      return wasOpen ? 'withdrawn' : 'waiting';
    },

    async sweep(now, limit, refusedUntil) {
      const [wiped, expired] = await commit.run('sweep', now, limit, idsExpiringBefore(now), refusedUntil);
      return { wiped, expired };
    },
  } satisfies SecretStore;
}

/**
 * Look-ups of an envelope. A large one takes some milliseconds, so each of those gets a round of the event loop to itself:
 * small requests come in between.
 */
function createEnvelopeLook(reader: Reader, sql: (envelope: string) => string): LookUp<Row | undefined> {
  let last: Promise<void> = Promise.resolve();
  const small = reader.prepare(sql(OR_NOTHING));
  const whole = reader.prepare(sql('envelope'));
  const large = shareLooks(async (id, now) => {
    last = last.then(() => nextRound());
    await last;
    return whole(id, now);
  });
  return async (id, now) => {
    const found = await small(id, now);
    return found?.[ENVELOPE] === null ? large(id, now) : found;
  };
}

function refusalOf(packed: PackedRefusal): Refusal | undefined {
  return packed ? { reason: packed[0], retryAfterMs: packed[1] } : undefined;
}

function foundOf([state, created, expires, content, tagOrNotify, destination]: Row): Found {
  const common = { createdAt: created as number, expiresAt: expires as number, envelope: content as Uint8Array };
  if (state === 'requested') return { state, ...common };
  const bytes = tagOrNotify as Uint8Array | null;
  if (state === 'copy') return { state, ...common, claimTag: bytes as Uint8Array };
  const notify = bytes ? { sealed: bytes, destination: destination as Uint8Array } : undefined;
  return { state: 'waiting', ...common, notify };
}

function foundRequestOf([state, created, expires, content]: Row): FoundRequest {
  const times = { createdAt: created as number, expiresAt: expires as number };
  const bytes = content as Uint8Array;
  return state === 'open'
    ? { state, ...times, envelope: bytes }
    : { state: 'answered', ...times, answer: { tag: bytes } };
}

function waitingReceipt([created, expires, tries]: Row, now: number): Receipt {
  const createdAt = created as number;
  const expiresAt = expires as number;
  const isOver = expiresAt <= now;
  return {
    state: isOver ? 'expired' : 'waiting',
    createdAt,
    expiresAt,
    endedAt: isOver ? expiresAt : undefined,
    wrongTries: tries as number,
    reads: 0,
  };
}

function endedReceipt([state, createdAt, expiresAt, endedAt, tries, reads]: Row): Receipt {
  return {
    state: state as Receipt['state'],
    createdAt: createdAt as number,
    expiresAt: expiresAt as number,
    endedAt: endedAt as number,
    wrongTries: tries as number,
    reads: reads as number,
  };
}

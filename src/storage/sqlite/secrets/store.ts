import type { SQLOutputValue } from 'node:sqlite';
import { setImmediate as nextRound } from 'node:timers/promises';
import type { Refusal } from '../../../limits/limits.ts';
import { reservationOf } from '../../../secrets/budget.ts';
import { idsExpiringBefore } from '../../../secrets/keys.ts';
import { type Found, RECEIPT_MS, type Receipt, type SecretStore } from '../../../secrets/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Look, Reader } from '../engine/reader.ts';
import { takenOf } from '../limits/procedures.ts';
import type { PackedRefusal, SecretProcedures } from './procedures.ts';

type Row = readonly SQLOutputValue[];

/** Where a row has its envelope. */
const ENVELOPE = 2;
/** An envelope that is too large to be read at once: see `createEnvelopeLook`. */
const OR_NOTHING = 'iif(length(envelope) <= 131072, envelope, NULL)';

/** Secrets in SQLite: writes go to the storage thread in groups, reads are point look-ups on the event loop. */
export function createSqliteSecretStore(commit: GroupCommit<SecretProcedures>, reader: Reader): SecretStore {
  const look = createEnvelopeLook(reader);
  const waitingById = look(
    (envelope) =>
      `SELECT created_at, expires_at, ${envelope}, notify, destination FROM waiting WHERE id = ? AND expires_at > ?`,
  );
  const copyById = look(
    (envelope) => `SELECT created_at, expires_at, ${envelope}, claim_tag FROM ended WHERE id = ? AND copy_until > ?`,
  );
  const waitingByReceipt = reader.prepare(
    'SELECT created_at, expires_at, tries FROM waiting WHERE id = ? AND receipt = ?',
  );
  const endedByReceipt = reader.prepare(
    'SELECT state, created_at, expires_at, ended_at, tries, reads FROM ended WHERE id = ? AND receipt = ?',
  );

  return {
    async create({ id, createdAt, expiresAt, receiptHash = null, envelope, notify, creator }) {
      const packedCreator = creator ? ([creator.client, creator.now, creator.isAdmitted] as const) : null;
      const packedNotify = notify ? ([notify.sealed, notify.destination] as const) : null;
      return refusalOf(
        await commit.run('create', id, createdAt, expiresAt, receiptHash, envelope, packedCreator, packedNotify),
      );
    },

    admit: async (client, now) => refusalOf(await commit.run('admit', client, now)),

    async find(id, now) {
      const waiting = await waitingById(id, now);
      if (waiting) return waitingOf(waiting);
      const copy = await copyById(id, now);
      return copy && copyOf(copy);
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

    async sweep(now, limit, refusedUntil) {
      const [wiped, expired] = await commit.run('sweep', now, limit, idsExpiringBefore(now), refusedUntil);
      return { wiped, expired };
    },
  } satisfies SecretStore;
}

/**
 * Look-ups of an envelope. A large one takes some milliseconds, so each of those gets a round of the event loop of its own:
 * small requests come in between.
 */
function createEnvelopeLook(reader: Reader): (sql: (envelope: string) => string) => Look {
  let last: Promise<void> = Promise.resolve();
  return (sql) => {
    const small = reader.prepare(sql(OR_NOTHING));
    const whole = reader.prepare(sql('envelope'));
    return async (...values) => {
      const found = await small(...values);
      if (found?.[ENVELOPE] !== null) return found;
      last = last.then(() => nextRound());
      await last;
      return whole(...values);
    };
  };
}

function refusalOf(packed: PackedRefusal): Refusal | undefined {
  return packed ? { reason: packed[0], retryAfterMs: packed[1] } : undefined;
}

function waitingOf([createdAt, expiresAt, envelope, sealed, destination]: Row): Found {
  return {
    state: 'waiting',
    createdAt: createdAt as number,
    expiresAt: expiresAt as number,
    envelope: envelope as Uint8Array,
    notify: sealed ? { sealed: sealed as Uint8Array, destination: destination as Uint8Array } : undefined,
  };
}

function copyOf([createdAt, expiresAt, envelope, claimTag]: Row): Found {
  return {
    state: 'copy',
    createdAt: createdAt as number,
    expiresAt: expiresAt as number,
    envelope: envelope as Uint8Array,
    claimTag: claimTag as Uint8Array,
  };
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

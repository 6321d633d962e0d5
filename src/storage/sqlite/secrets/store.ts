import type { SQLOutputValue } from 'node:sqlite';
import { idsExpiringBefore } from '../../../secrets/keys.ts';
import {
  type Found,
  RECEIPT_MS,
  type Receipt,
  type Refusal,
  retryAfterMsAt,
  type SecretStore,
  triesLeftAt,
} from '../../../secrets/store.ts';
import type { Value } from '../engine/codec.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import { PROCEDURE, REFUSALS } from '../procedures.ts';

type Row = readonly SQLOutputValue[];

/** Secrets in SQLite: writes go to the storage thread in groups, reads are point look-ups on the event loop. */
export function createSqliteSecretStore(commit: GroupCommit, reader: Reader): SecretStore {
  const waitingById = reader.prepare(
    'SELECT created_at, expires_at, envelope, notify, destination FROM waiting WHERE id = ? AND expires_at > ?',
  );
  const copyById = reader.prepare(
    'SELECT created_at, expires_at, envelope, claim_tag FROM ended WHERE id = ? AND copy_until > ?',
  );
  const waitingByReceipt = reader.prepare(
    'SELECT created_at, expires_at, tries FROM waiting WHERE id = ? AND receipt = ?',
  );
  const endedByReceipt = reader.prepare(
    'SELECT state, created_at, expires_at, ended_at, tries, reads FROM ended WHERE id = ? AND receipt = ?',
  );

  return {
    async create({ id, createdAt, expiresAt, receiptHash, envelope, notify, creator }) {
      const { client = null, now = 0, isAdmitted = false } = creator ?? {};
      return refusalOf(
        await commit.run(
          PROCEDURE.create,
          id,
          createdAt,
          expiresAt,
          receiptHash ?? null,
          envelope,
          client,
          now,
          Number(isAdmitted),
          notify?.sealed ?? null,
          notify?.destination ?? null,
        ),
      );
    },

    async admit(client, now) {
      return refusalOf(await commit.run(PROCEDURE.admit, client, now));
    },

    async find(id, now) {
      const waiting = await waitingById(id, now);
      if (waiting) return waitingOf(waiting);
      const copy = await copyById(id, now);
      return copy && copyOf(copy);
    },

    async reserveTry(id, now) {
      const [granted, fullAt] = await commit.run(PROCEDURE.reserveTry, id, now);
      if (granted === undefined) return undefined;
      const debtMs = (fullAt as number) - now;
      if (granted === 1) return { granted: true, triesLeft: triesLeftAt(debtMs) };
      return { granted: false, retryAfterMs: retryAfterMsAt(debtMs) };
    },

    async refundTry(id) {
      await commit.run(PROCEDURE.refundTry, id);
    },

    async claim(id, now, { copy, refundTry, eventDueAt = now }) {
      const copied = copy ? [copy.claimTag, copy.until, copy.envelope] : [null, null, null];
      const [won] = await commit.run(PROCEDURE.claim, id, now, Number(refundTry), eventDueAt, ...copied);
      return won === 1;
    },

    async reread(id, now, { claimTag, maxReads, refundTry }) {
      const [counted] = await commit.run(PROCEDURE.reread, id, now, Number(refundTry), claimTag, maxReads);
      return counted === 1;
    },

    async findReceipt(id, receiptHash, now) {
      const waiting = await waitingByReceipt(id, receiptHash);
      const ended = waiting ? undefined : await endedByReceipt(id, receiptHash);
      const receipt = waiting ? waitingReceipt(waiting, now) : ended && endedReceipt(ended);
      return receipt && (receipt.endedAt ?? now) + RECEIPT_MS > now ? receipt : undefined;
    },

    async burn(id, receiptHash, now, refusedUntil) {
      const [wasWaiting] = await commit.run(PROCEDURE.burn, id, receiptHash, now, refusedUntil);
      if (wasWaiting === undefined) return undefined;
      return wasWaiting === 1 ? 'burned' : 'not-waiting';
    },

    async sweep(now, limit, refusedUntil) {
      const [wiped, expired] = await commit.run(PROCEDURE.sweep, now, limit, idsExpiringBefore(now), refusedUntil);
      return { wiped: wiped as number, expired: expired as number };
    },
  } satisfies SecretStore;
}

function refusalOf([reason, retryAfterMs]: readonly Value[]): Refusal | undefined {
  if (reason === undefined) return undefined;
  return { reason: REFUSALS[reason as number] as Refusal['reason'], retryAfterMs: retryAfterMs as number };
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

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { AppError } from '../../../errors.ts';
import { MAIL_KEPT_MS } from '../../../mail/store.ts';
import { HEAD_BYTES } from '../../../sealing/head.ts';
import type { SealedRecord } from '../../../secrets/records.ts';
import { RECEIPT_MS } from '../../../secrets/store.ts';
import type { Records } from '../../storage.ts';
import { resultCode, retryWhileBusy } from '../engine/busy.ts';
import type { Value } from '../engine/codec.ts';
import { hasWal, openLooker } from '../engine/database.ts';
import { stateOf } from '../fence/store.ts';

const BUSY_DEADLINE_MS = 5_000;
const FIRST = Buffer.alloc(0);

// Only columns that every version has: the file may not be upgraded yet.
const SEALED = `
  SELECT * FROM (
    SELECT id, 'waiting' AS state, created_at, expires_at AS visible_until,
      substr(envelope, 1, ${HEAD_BYTES}) AS head
    FROM waiting WHERE id > :after AND expires_at > :now ORDER BY id LIMIT :limit)
  UNION ALL SELECT * FROM (
    SELECT id, 'copy', created_at, copy_until, substr(envelope, 1, ${HEAD_BYTES})
    FROM ended WHERE id > :after AND copy_until > :now ORDER BY id LIMIT :limit)`;
const REQUESTED = `
  UNION ALL SELECT * FROM (
    SELECT id, 'requested', created_at, expires_at, substr(envelope, 1, ${HEAD_BYTES})
    FROM requests WHERE id > :after AND expires_at > :now ORDER BY id LIMIT :limit)`;
const NOTIFYING = `
  SELECT * FROM (
    SELECT id, 'notifying' AS state, created_at, expires_at + ${RECEIPT_MS} AS visible_until,
      substr(notify, 1, ${HEAD_BYTES}) AS head
    FROM waiting WHERE id > :after AND notify IS NOT NULL AND expires_at + ${RECEIPT_MS} > :now ORDER BY id LIMIT :limit)
  UNION ALL SELECT * FROM (
    SELECT id, 'notifying', occurred_at, occurred_at + ${RECEIPT_MS}, substr(notify, 1, ${HEAD_BYTES})
    FROM events WHERE id > :after AND occurred_at + ${RECEIPT_MS} > :now ORDER BY id LIMIT :limit)`;
const REQUEST_NOTIFYING = `
  UNION ALL SELECT * FROM (
    SELECT id, 'notifying', created_at, expires_at + ${RECEIPT_MS}, substr(notify, 1, ${HEAD_BYTES})
    FROM requests WHERE id > :after AND notify IS NOT NULL AND expires_at + ${RECEIPT_MS} > :now
    ORDER BY id LIMIT :limit)`;
const PAGED = 'ORDER BY id LIMIT :limit';
const MAILS = `
  SELECT id, 'mail' AS state, occurred_at AS created_at, occurred_at + ${MAIL_KEPT_MS} AS visible_until,
    substr(sealed, 1, ${HEAD_BYTES}) AS head
  FROM mails WHERE id > :after AND occurred_at + ${MAIL_KEPT_MS} > :now ORDER BY id LIMIT :limit`;
type Row = Record<string, SQLOutputValue>;

/** Reads block the thread: for the operator's commands, not for the service. */
export async function openSqliteRecords(path: string): Promise<Records> {
  const looker = createLooker(path);
  return {
    async listSealed({ now, after = FIRST, limit }) {
      const sql = isTable(looker, 'requests') ? SEALED + REQUESTED : SEALED;
      return looker.all(`${sql} ${PAGED}`, { now, after, limit }).map(sealedOf);
    },

    async listNotifying({ now, after = FIRST, limit }) {
      if (!isTable(looker, 'events')) return [];
      const sql = isTable(looker, 'requests') ? NOTIFYING + REQUEST_NOTIFYING : NOTIFYING;
      return looker.all(`${sql} ${PAGED}`, { now, after, limit }).map(sealedOf);
    },

    async listMails({ now, after = FIRST, limit }) {
      return isTable(looker, 'mails') ? looker.all(MAILS, { now, after, limit }).map(sealedOf) : [];
    },

    async findMark() {
      const [row] = isTable(looker, 'fence')
        ? looker.all('SELECT database_id, mark, refused_until FROM fence WHERE mark > 0', {})
        : [];
      return row && stateOf([row.database_id, row.mark, row.refused_until] as Value[]);
    },

    async readSigningKeys() {
      const [row] = isTable(looker, 'signing_keys') ? looker.all('SELECT record FROM signing_keys', {}) : [];
      return row?.record as Uint8Array | undefined;
    },

    async close() {
      looker.close();
    },
  };
}

type Looker = {
  all(sql: string, values: Record<string, Uint8Array | number>): Row[];
  close(): void;
};

/** Older versions lack some tables. */
function isTable(looker: Looker, name: 'fence' | 'events' | 'mails' | 'requests' | 'signing_keys'): boolean {
  return looker.all(`SELECT 1 FROM sqlite_schema WHERE name = '${name}'`, {}).length > 0;
}

/** A connection for looking that is opened again when a service starts in the meantime. */
function createLooker(path: string): Looker {
  let hadWal = hasWal(path);
  let database: DatabaseSync | undefined;

  function current(): DatabaseSync {
    if (!hadWal && hasWal(path)) {
      hadWal = true;
      database?.close();
      database = undefined;
    }
    database ??= openLooker(path);
    return database;
  }

  return {
    all(sql, values) {
      try {
        return retryWhileBusy(performance.now() + BUSY_DEADLINE_MS, () => current().prepare(sql).all(values));
      } catch (cause) {
        if (resultCode(cause) === 0) throw cause;
        throw new AppError('STORAGE_UNAVAILABLE', { cause, retryAfterSeconds: 1 });
      }
    },
    close: () => database?.close(),
  };
}

function sealedOf(row: Row): SealedRecord {
  return {
    id: row.id as Uint8Array,
    state: row.state as SealedRecord['state'],
    createdAt: row.created_at as number,
    visibleUntil: row.visible_until as number,
    envelopeHead: row.head as Uint8Array,
  };
}

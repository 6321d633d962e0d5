import type { Migration } from './engine/database.ts';
import { moveRows } from './engine/move-rows.ts';

/**
 * The schema's history: entry N brings a file of version N to N + 1. Released entries never change.
 *
 * `waiting` holds the secrets that can be read, `ended` the records of the others: a copy for rereading, a receipt, or
 * both; `due_at` is when a part of it must be removed. An id begins with the second of expiry, so that expired secrets
 * are the first ids of `waiting` and need no index of their own. Both have an index for their ids, and the large column
 * is the last one: WITHOUT ROWID, SQLite reads the whole of a large row for each comparison on the way to another one.
 * `fence` has one row, see src/fence/store.ts.
 *
 * `events` holds the ends of secrets with a `notify`, and `destinations` the instant when the first event of each is due,
 * so that due events are found at once, however many wait for a destination that is left out. Triggers keep the two
 * consistent.
 *
 * `clients` has the sums of each client's waiting secrets, `stored` the sum of everything: every transaction keeps them
 * right (usage.ts). `limits` has what was taken of each limit, see src/limits/limits.ts.
 *
 * `claims` holds what the sink received, see src/sink/store.ts; `customers` those of src/business/store.ts.
 *
 * A row of `sessions` is a session that was not ended: whatever ends one deletes it. `number` grows with each new session
 * of an account. `sightings` holds what was seen once, see src/auth/sessions/store.ts. `signing_keys` has
 * one row or none, see src/tokens/access/store.ts, and so has
 * `installation`. `mails` holds mail that is not delivered yet, see src/mail/store.ts;
 * `links` those that were not used or ended, see src/auth/accounts/links-store.ts: one of an account is good only with
 * the account's version.
 */
export const MIGRATIONS: readonly Migration[] = [
  `
  CREATE TABLE waiting (
    id         BLOB PRIMARY KEY,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    tries_full_at INTEGER NOT NULL,
    receipt    BLOB,
    envelope   BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE ended (
    id         BLOB PRIMARY KEY,
    state      TEXT NOT NULL CHECK (state IN ('read', 'burned', 'expired')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    tries_full_at INTEGER NOT NULL,
    reads      INTEGER NOT NULL,
    receipt    BLOB,
    claim_tag  BLOB,
    copy_until INTEGER,
    envelope   BLOB
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX ended_due ON ended (due_at);
  `,
  `
  CREATE TABLE fence (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    database_id   BLOB NOT NULL,
    mark          INTEGER NOT NULL,
    refused_until INTEGER NOT NULL
  ) STRICT;

  INSERT INTO fence (one, database_id, mark, refused_until) VALUES (1, randomblob(16), 0, 0);
  `,
  `
  ALTER TABLE waiting ADD COLUMN client BLOB;

  CREATE TABLE clients (
    id           BLOB PRIMARY KEY,
    rate_full_at REAL NOT NULL,
    secrets      INTEGER NOT NULL,
    bytes        INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX clients_over ON clients (rate_full_at) WHERE secrets = 0;

  CREATE TABLE stored (bytes INTEGER NOT NULL) STRICT;

  INSERT INTO stored
  SELECT coalesce(sum(256 + min(length, 768) + (max(length - 768, 0) + 4095) / 4096 * 4096), 0) FROM (
    SELECT length(envelope) AS length FROM waiting
    UNION ALL SELECT coalesce(length(envelope), 0) FROM ended
  );
  `,
  `
  CREATE TABLE claims (
    id          BLOB PRIMARY KEY,
    received_at REAL NOT NULL,
    claims      BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX claims_received ON claims (received_at);
  `,
  `
  ALTER TABLE waiting ADD COLUMN notify BLOB;
  ALTER TABLE waiting ADD COLUMN destination BLOB;

  CREATE TABLE events (
    id          BLOB PRIMARY KEY,
    type        TEXT NOT NULL CHECK (type IN ('read', 'burned', 'expired')),
    occurred_at INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    destination BLOB NOT NULL,
    notify      BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX events_due ON events (destination, due_at);
  CREATE INDEX events_old ON events (occurred_at);

  CREATE TABLE destinations (
    id     BLOB PRIMARY KEY,
    due_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX destinations_due ON destinations (due_at);

  CREATE TRIGGER event_comes AFTER INSERT ON events BEGIN
    INSERT INTO destinations (id, due_at) VALUES (new.destination, new.due_at)
    ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at WHERE excluded.due_at < due_at;
  END;

  CREATE TRIGGER event_moves AFTER UPDATE OF due_at ON events BEGIN
    UPDATE destinations SET due_at = (SELECT min(due_at) FROM events WHERE destination = new.destination)
    WHERE id = new.destination;
  END;

  CREATE TRIGGER event_goes AFTER DELETE ON events BEGIN
    DELETE FROM destinations
    WHERE id = old.destination AND NOT EXISTS (SELECT 1 FROM events WHERE destination = old.destination);
    UPDATE destinations SET due_at = (SELECT min(due_at) FROM events WHERE destination = old.destination)
    WHERE id = old.destination;
  END;
  `,
  `
  CREATE TABLE limits (
    key     BLOB PRIMARY KEY,
    full_at REAL NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX limits_full ON limits (full_at);

  INSERT INTO limits (key, full_at) SELECT id, rate_full_at FROM clients;

  DROP INDEX clients_over;
  ALTER TABLE clients DROP COLUMN rate_full_at;
  DELETE FROM clients WHERE secrets = 0;
  `,
  `
  CREATE TABLE accounts (
    id            TEXT PRIMARY KEY,
    email         TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    profile       TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    disabled_at   INTEGER
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE sessions (
    number        INTEGER PRIMARY KEY,
    token_hash    BLOB NOT NULL UNIQUE,
    account_id    TEXT NOT NULL,
    id            TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    ends_at       INTEGER NOT NULL,
    used_at       INTEGER NOT NULL,
    refreshes     INTEGER NOT NULL,
    user_agent    TEXT NOT NULL,
    key_thumbprint TEXT,
    cookie_hash   BLOB,
    cookie_offered_at INTEGER,
    is_cookie_armed INTEGER NOT NULL,
    UNIQUE (account_id, id)
  ) STRICT;

  CREATE INDEX sessions_over ON sessions (expires_at);

  CREATE TABLE sightings (
    id    BLOB PRIMARY KEY,
    by    BLOB NOT NULL,
    until INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX sightings_over ON sightings (until);
  `,
  `
  CREATE TABLE customers (
    id         TEXT PRIMARY KEY,
    name       BLOB NOT NULL,
    dob        TEXT NOT NULL,
    updated_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX customers_youngest ON customers (dob, id);
  `,
  `
  ALTER TABLE sessions ADD COLUMN kind TEXT NOT NULL DEFAULT 'token' CHECK (kind IN ('token', 'browser'));
  ALTER TABLE sessions ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE sessions ADD COLUMN rotated_at INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE sessions RENAME COLUMN token_hash TO credential_hash;

  CREATE TABLE signing_keys (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    record BLOB NOT NULL
  ) STRICT;

  CREATE TABLE installation (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    name TEXT NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE mails (
    id          BLOB PRIMARY KEY,
    occurred_at INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    sealed      BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX mails_due ON mails (due_at);
  CREATE INDEX mails_old ON mails (occurred_at);
  `,
  `
  CREATE TABLE links (
    number          INTEGER PRIMARY KEY,
    token_hash      BLOB NOT NULL UNIQUE,
    kind            TEXT NOT NULL CHECK (kind IN ('activate', 'reset', 'change')),
    owner           TEXT NOT NULL,
    email           TEXT NOT NULL,
    account_version INTEGER,
    password_hash   TEXT,
    profile         TEXT,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL
  ) STRICT;

  CREATE INDEX links_owner ON links (owner, kind);
  CREATE INDEX links_over ON links (expires_at);
  `,
  `
  CREATE TABLE requests (
    id           BLOB PRIMARY KEY,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    request_hash BLOB NOT NULL,
    envelope     BLOB NOT NULL,
    client       BLOB,
    notify       BLOB,
    destination  BLOB
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE answers (
    id           BLOB PRIMARY KEY,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    request_hash BLOB NOT NULL,
    tag          BLOB NOT NULL,
    until        INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX answers_over ON answers (until);

  CREATE TABLE new_events (
    id          BLOB PRIMARY KEY,
    type        TEXT NOT NULL CHECK (type IN ('read', 'burned', 'expired', 'answered', 'unanswered')),
    occurred_at INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    destination BLOB NOT NULL,
    notify      BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;

  INSERT INTO new_events SELECT id, type, occurred_at, due_at, attempts, destination, notify FROM events;
  DROP TABLE events;
  ALTER TABLE new_events RENAME TO events;

  CREATE INDEX events_due ON events (destination, due_at);
  CREATE INDEX events_old ON events (occurred_at);

  CREATE TRIGGER event_comes AFTER INSERT ON events BEGIN
    INSERT INTO destinations (id, due_at) VALUES (new.destination, new.due_at)
    ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at WHERE excluded.due_at < due_at;
  END;

  CREATE TRIGGER event_moves AFTER UPDATE OF due_at ON events BEGIN
    UPDATE destinations SET due_at = (SELECT min(due_at) FROM events WHERE destination = new.destination)
    WHERE id = new.destination;
  END;

  CREATE TRIGGER event_goes AFTER DELETE ON events BEGIN
    DELETE FROM destinations
    WHERE id = old.destination AND NOT EXISTS (SELECT 1 FROM events WHERE destination = old.destination);
    UPDATE destinations SET due_at = (SELECT min(due_at) FROM events WHERE destination = old.destination)
    WHERE id = old.destination;
  END;
  `,
  (database) => {
    database.exec(`
      CREATE TABLE new_waiting (
        id          BLOB NOT NULL PRIMARY KEY,
        created_at  INTEGER NOT NULL,
        expires_at  INTEGER NOT NULL,
        tries       INTEGER NOT NULL,
        tries_full_at INTEGER NOT NULL,
        receipt     BLOB,
        client      BLOB,
        notify      BLOB,
        destination BLOB,
        envelope    BLOB NOT NULL
      ) STRICT;

      CREATE TABLE new_ended (
        id         BLOB NOT NULL PRIMARY KEY,
        state      TEXT NOT NULL CHECK (state IN ('read', 'burned', 'expired')),
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        ended_at   INTEGER NOT NULL,
        due_at     INTEGER NOT NULL,
        tries      INTEGER NOT NULL,
        tries_full_at INTEGER NOT NULL,
        reads      INTEGER NOT NULL,
        receipt    BLOB,
        claim_tag  BLOB,
        copy_until INTEGER,
        envelope   BLOB
      ) STRICT;
    `);
    const both = ['id', 'created_at', 'expires_at', 'tries', 'tries_full_at', 'receipt', 'envelope'] as const;
    moveRows(database, 'waiting', 'new_waiting', [...both, 'client', 'notify', 'destination']);
    moveRows(database, 'ended', 'new_ended', [
      ...both,
      ...['state', 'ended_at', 'due_at', 'reads', 'claim_tag', 'copy_until'],
    ]);
    database.exec(`
      DROP TABLE waiting;
      ALTER TABLE new_waiting RENAME TO waiting;
      DROP TABLE ended;
      ALTER TABLE new_ended RENAME TO ended;
      CREATE INDEX ended_due ON ended (due_at);
    `);
  },
];

/** What a look at a storage found: facts in the order they became known. The doctor judges them. */
export type Inspection =
  | { engine: 'sqlite'; facts: readonly SqliteFact[] }
  | { engine: 'mongodb'; facts: readonly MongoFact[] };

export type SqliteFact =
  /** No file at the path: the only fact then. */
  | { type: 'no-file' }
  /** A journal without its database: the only fact then. */
  | { type: 'orphan'; file: string; bytes: number }
  /** Node.js has an SQLite that must not open the file: the only fact then. */
  | { type: 'old-sqlite'; reason: string }
  | { type: 'file'; bytes: number; version: number; newest: number }
  /** How long a small synced write beside the file takes. */
  | { type: 'write'; ms: number }
  | { type: 'no-write'; code: string }
  /** What the integrity check found. */
  | { type: 'check'; faults: readonly string[] }
  /** Two reasons why no check comes last: SQLite refused, or the time was over. */
  | { type: 'failure'; reason: string }
  | { type: 'timeout'; afterMs: number };

export type MongoFact =
  /** No server answers: the only fact then. */
  | { type: 'no-answer'; reason: string }
  | { type: 'server'; topology: 'standalone' | 'replica set' | 'sharded cluster' }
  /** How far the server's clock is ahead of ours, give or take half a round trip; undefined when it does not say. */
  | { type: 'clock'; offsetMs: number | undefined; roundTripMs: number }
  /** The collections that lack indexes, with the names of these. `isNew` when no collection is there yet. */
  | { type: 'indexes'; isNew: boolean; missing: readonly { collection: string; names: readonly string[] }[] }
  /** How long a majority takes to confirm a write. */
  | { type: 'write'; ms: number }
  | { type: 'no-write'; code: string };

import type { DatabaseSync } from 'node:sqlite';
import { linkBytesOf } from '../../usage.ts';
import type { Usage } from '../usage.ts';

type Row = { email: string; profile: string | null };

/** Removes links. To do so needs a transaction around it. */
export type LinkEnding = {
  /** All of an account, or of an address. */
  end(owner: string): void;
  /** @returns how many. */
  endOver(now: number, limit: number): number;
  /** All but the newest. */
  endOldest(owner: string, kind: string, most: number): void;
};

/** Whatever removes links, and keeps the sum of everything stored right. */
export function createLinkEnding(database: DatabaseSync, usage: Usage): LinkEnding {
  const ofOwner = database.prepare('DELETE FROM links WHERE owner = ? RETURNING email, profile');
  const over = database.prepare(
    `DELETE FROM links WHERE number IN (SELECT number FROM links WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)
     RETURNING email, profile`,
  );
  const oldest = database.prepare(
    `DELETE FROM links WHERE owner = ?1 AND kind = ?2 AND number <=
       (SELECT number FROM links WHERE owner = ?1 AND kind = ?2 ORDER BY number DESC LIMIT 1 OFFSET ?3)
     RETURNING email, profile`,
  );

  function count(rows: unknown[]): number {
    for (const row of rows as Row[]) usage.countOther(-1, linkBytesOf(row));
    return rows.length;
  }

  return {
    end: (owner) => void count(ofOwner.all(owner)),
    endOver: (now, limit) => count(over.all(now, limit)),
    endOldest: (owner, kind, most) => void count(oldest.all(owner, kind, most)),
  };
}

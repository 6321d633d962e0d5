import type { Document } from 'mongodb';
import { grantedDebtMs, keptAt, type Limit } from '../../limits/limits.ts';

// The rule of src/limits/limits.ts as one update: `member` holds `fullAt` in a document of any collection.

/** In the filter: the limit grants one more. */
export function grantsOne(member: string, limit: Limit, now: number): Document {
  return { [member]: { $lte: now + grantedDebtMs(limit) } };
}

/** In a pipeline's `$set`: one is taken. */
export function takeOne(member: string, { intervalMs }: Limit, now: number): Document {
  return { [member]: { $add: [{ $max: [`$${member}`, now] }, intervalMs] } };
}

/**
 * The debt of a document that refused.
 * @param shorten replaces `fullAt` in the database, unless it was changed meanwhile.
 */
export async function debtOf(
  fullAt: number,
  limit: Limit,
  now: number,
  shorten: (kept: number) => Promise<unknown>,
): Promise<number> {
  const kept = keptAt(fullAt, limit, now);
  if (kept < fullAt) await shorten(kept);
  return kept - now;
}

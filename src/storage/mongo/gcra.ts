import type { Document } from 'mongodb';
import { grantedDebtMs, type Limit } from '../../limits/limits.ts';

// The rule of src/limits/limits.ts as one update: `member` holds `fullAt` in a document of any collection.

/** In the filter: the limit grants one more. */
export function grantsOne(member: string, limit: Limit, now: number): Document {
  return { [member]: { $lte: now + grantedDebtMs(limit) } };
}

/** In a pipeline's `$set`: one is taken. */
export function takeOne(member: string, { intervalMs }: Limit, now: number): Document {
  return { [member]: { $add: [{ $max: [`$${member}`, now] }, intervalMs] } };
}

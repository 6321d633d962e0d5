import { masterKeyIdIn } from '../sealing/head.ts';
import { masterKeyIdOf } from '../sealing/key-ring.ts';
import type { SecretRecords } from '../secrets/records.ts';
import { REREAD_MS } from '../secrets/secrets.ts';
import { count, instant } from './terminal.ts';

const PAGE = 500;

/** What is sealed under one master key. */
export type Sealed = {
  waiting: number;
  copies: number;
  /** From then on nothing of it can be read, the copies of reads at the last instant included. */
  neededUntil: number;
};

export type SealedCount = {
  /** By fingerprint, which says nothing of the key: the id in every envelope. */
  byKey: ReadonlyMap<string, Sealed>;
  newestAt: number | undefined;
  /** Whether all was seen before the time was over. */
  isComplete: boolean;
};

/** Looks through everything that can still be read, for at most `patienceMs`. */
export async function countSealed(records: SecretRecords, now: number, patienceMs: number): Promise<SealedCount> {
  const deadline = performance.now() + patienceMs;
  const byKey = new Map<string, Sealed>();
  let newestAt: number | undefined;
  let after: Uint8Array | undefined;
  while (performance.now() < deadline) {
    const page = await records.listSealed({ now, after, limit: PAGE });
    for (const { state, createdAt, visibleUntil, envelopeHead } of page) {
      const fingerprint = masterKeyIdIn(envelopeHead)?.toString('hex') ?? 'of an unknown format';
      const sealed = byKey.get(fingerprint) ?? { waiting: 0, copies: 0, neededUntil: 0 };
      const isWaiting = state === 'waiting';
      sealed[isWaiting ? 'waiting' : 'copies'] += 1;
      sealed.neededUntil = Math.max(sealed.neededUntil, visibleUntil + (isWaiting ? REREAD_MS : 0));
      byKey.set(fingerprint, sealed);
      newestAt = Math.max(newestAt ?? 0, createdAt);
    }
    if (page.length < PAGE) return { byKey, newestAt, isComplete: true };
    after = page.at(-1)?.id;
  }
  return { byKey, newestAt, isComplete: false };
}

export function fingerprintsOf(keys: readonly Buffer[]): string[] {
  return keys.map((key) => masterKeyIdOf(key).toString('hex'));
}

export function describeSealed(sealed: Sealed | undefined): string {
  if (!sealed) return 'nothing is sealed with it';
  const { waiting, copies, neededUntil } = sealed;
  const what = [waiting > 0 && count(waiting, 'secret'), copies > 0 && `${copies} for rereading`].filter(Boolean);
  return `${what.join(' and ')} sealed with it, needed until ${instant(neededUntil)}`;
}

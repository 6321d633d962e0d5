import { masterKeyIdIn } from '../../sealing/head.ts';
import { masterKeyIdOf } from '../../sealing/key-ring.ts';
import { REREAD_MS } from '../../secrets/reading.ts';
import type { SealedRecord } from '../../secrets/records.ts';
import type { Records } from '../../storage/storage.ts';
import { masterKeysIn } from '../../tokens/access/signing-keys.ts';
import { count, instant } from '../terminal.ts';

const PAGE = 500;

/** What is sealed under one master key. */
export type Sealed = {
  waiting: number;
  copies: number;
  /** Requests that nobody answered yet. */
  requests: number;
  /** Webhooks and events that are not delivered yet. */
  notifying: number;
  /** Mails that are not delivered yet. */
  mails: number;
  /** A running service seals them again soon after the master key was replaced. */
  signingKeys: number;
  /** From then on nothing sealed with the key can be read, not even the copy of a read at the last instant. */
  neededUntil: number;
};

export type SealedCount = {
  /** By fingerprint: the id that every envelope has, which does not reveal the key. */
  byKey: ReadonlyMap<string, Sealed>;
  newestAt: number | undefined;
  /** Whether everything was counted in time. */
  isComplete: boolean;
};

/**
 * Counts secrets that can still be read, requests that can still be answered, webhooks and mails that can still be
 * delivered and signing keys, for at most `patienceMs`.
 */
export async function countSealed(
  records: Omit<Records, 'findMark' | 'close'>,
  now: number,
  patienceMs: number,
): Promise<SealedCount> {
  const deadline = performance.now() + patienceMs;
  const byKey = new Map<string, Sealed>();
  let newestAt: number | undefined;
  const signingKeys = await records.readSigningKeys();
  for (const fingerprint of signingKeys ? masterKeysIn(signingKeys) : [])
    sealedUnder(byKey, fingerprint).signingKeys += 1;
  // Webhooks last: if a secret ends meanwhile, its event is still found.
  for (const list of [records.listSealed, records.listNotifying, records.listMails]) {
    let after: Uint8Array | undefined;
    for (let page = await list({ now, after, limit: PAGE }); ; page = await list({ now, after, limit: PAGE })) {
      for (const record of page) {
        add(byKey, record);
        newestAt = Math.max(newestAt ?? 0, record.createdAt);
      }
      if (page.length < PAGE) break;
      if (performance.now() >= deadline) return { byKey, newestAt, isComplete: false };
      after = page.at(-1)?.id;
    }
  }
  return { byKey, newestAt, isComplete: true };
}

function add(byKey: Map<string, Sealed>, { state, visibleUntil, envelopeHead }: SealedRecord): void {
  const fingerprint = masterKeyIdIn(envelopeHead)?.toString('hex') ?? 'of an unknown format';
  const sealed = sealedUnder(byKey, fingerprint);
  sealed[COUNTED_AS[state]] += 1;
  sealed.neededUntil = Math.max(sealed.neededUntil, visibleUntil + (state === 'waiting' ? REREAD_MS : 0));
}

function sealedUnder(byKey: Map<string, Sealed>, fingerprint: string): Sealed {
  const sealed = byKey.get(fingerprint) ?? {
    waiting: 0,
    copies: 0,
    requests: 0,
    notifying: 0,
    mails: 0,
    signingKeys: 0,
    neededUntil: 0,
  };
  byKey.set(fingerprint, sealed);
  return sealed;
}

const COUNTED_AS = {
  waiting: 'waiting',
  copy: 'copies',
  requested: 'requests',
  notifying: 'notifying',
  mail: 'mails',
} as const;

export function fingerprintsOf(keys: readonly Buffer[]): string[] {
  return keys.map((key) => masterKeyIdOf(key).toString('hex'));
}

export function describeSealed(sealed: Sealed | undefined): string {
  if (!sealed) return 'nothing is sealed with it';
  const { waiting, copies, requests, notifying, mails, signingKeys, neededUntil } = sealed;
  const what = [
    waiting > 0 && count(waiting, 'secret'),
    copies > 0 && `${copies} for rereading`,
    requests > 0 && count(requests, 'request'),
    notifying > 0 && count(notifying, 'webhook'),
    mails > 0 && count(mails, 'mail'),
    signingKeys > 0 && count(signingKeys, 'signing key'),
  ].filter(Boolean);
  const until = [
    neededUntil > 0 && `needed until ${instant(neededUntil)}`,
    signingKeys > 0 && 'after a rotation a running service seals signing keys again within a minute',
  ].filter(Boolean);
  return `${what.join(' and ')} sealed with it, ${until.join('; ')}`;
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { LinkStore } from '../../auth/accounts/links-store.ts';
import type { SessionStore, SightingStore } from '../../auth/sessions/store.ts';
import { type Clock, pulse } from '../../clock.ts';
import type { MailStore } from '../../mail/store.ts';
import type { SecretStore } from '../../secrets/store.ts';
import type { SinkStore } from '../../sink/store.ts';

/**
 * Ended content is wiped within two minutes, which leaves time for failed rounds. Each round calls `sweep` at least
 * once, because an engine may also clean its own files of wiped content in it.
 */
const SWEEP_INTERVAL_MS = 20_000;
/** Rows wiped in one step. Between steps, other calls get their turn. */
const SWEEP_STEP = 200;
const SWEEP_PAUSE_MS = 5;

export type JobParts = {
  secrets: SecretStore;
  sink: SinkStore;
  sessions: SessionStore;
  sightings: SightingStore;
  links: LinkStore;
  mails: Pick<MailStore, 'sweepMails'>;
  clock: Clock;
  /** Secrets created at this instant or before have no event. @throws AppError STORAGE_UNAVAILABLE while unknown. */
  refusedUntil(): number;
  /** Loads changed master keys, and seals again what must not need an older one. */
  refreshKeys(): Promise<void>;
  /** @param count secrets that expired. */
  onExpired(count: number): void;
  /** @param count mails that are too old to send. */
  onMailsOver(count: number): void;
  onError(error: unknown): void;
};
export type Jobs = { stop(): Promise<void> };

/** Starts the periodic work. Safe in any number of workers: a sweep that finds nothing costs an index look-up or two. */
export function startJobs(parts: JobParts): Jobs {
  const stopping = new AbortController();
  const { signal } = stopping;
  const { sink, sessions, sightings, links, mails, onMailsOver } = parts;
  const sweepMails: Removal = async (now, limit) => {
    const count = await mails.sweepMails(now, limit);
    onMailsOver(count);
    return count;
  };
  const removals: Removal[] = [
    sink.sweepClaims,
    sessions.sweepSessions,
    sightings.sweepSightings,
    links.sweepLinks,
    sweepMails,
  ];
  const done = (async () => {
    while (!signal.aborted) {
      await parts.refreshKeys().catch(parts.onError);
      await sweep(parts, signal).catch(parts.onError);
      for (const removal of removals) await removeAll(removal, parts, signal).catch(parts.onError);
      // Random, so that workers that start together do not sweep together.
      await pulse(SWEEP_INTERVAL_MS * (0.75 + Math.random() / 2), signal);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await done;
    },
  };
}

async function sweep({ secrets, clock, refusedUntil, onExpired }: JobParts, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { wiped, expired } = await secrets.sweep(clock(), SWEEP_STEP, refusedUntil());
    if (expired > 0) onExpired(expired);
    if (wiped < SWEEP_STEP) return;
    await sleep(SWEEP_PAUSE_MS);
  }
}

/** Removes up to `limit` records whose time is over. @returns how many. */
type Removal = (now: number, limit: number) => Promise<number>;

async function removeAll(removal: Removal, { clock }: JobParts, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    if ((await removal(clock(), SWEEP_STEP)) < SWEEP_STEP) return;
    await sleep(SWEEP_PAUSE_MS);
  }
}

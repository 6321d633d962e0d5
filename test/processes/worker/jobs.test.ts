import test from 'ava';
import type { LinkStore } from '../../../src/auth/accounts/links-store.ts';
import type { SessionStore, SightingStore } from '../../../src/auth/sessions/store.ts';
import { startJobs } from '../../../src/processes/worker/jobs.ts';
import type { SecretStore } from '../../../src/secrets/store.ts';
import type { SinkStore } from '../../../src/sink/store.ts';
import { until } from '../../support/process/program.ts';

test('a round takes new master keys and sweeps, until nothing is left', async (t) => {
  const steps: string[] = [];
  const wiped = [200, 200, 7];
  const secrets = {
    async sweep() {
      steps.push('sweep');
      return { wiped: wiped.shift() ?? 0, expired: 3 };
    },
  } as unknown as SecretStore;
  const kept = [200, 7];
  const sink = {
    async sweepClaims() {
      steps.push('sweep claims');
      return kept.shift() ?? 0;
    },
  } as unknown as SinkStore;
  const [over, seen] = [[200, 200, 0], [7]];
  const sessions = {
    async sweepSessions() {
      steps.push('sweep sessions');
      return over.shift() ?? 0;
    },
  } as unknown as SessionStore;
  const sightings = {
    async sweepSightings() {
      steps.push('sweep sightings');
      return seen.shift() ?? 0;
    },
  } as unknown as SightingStore;
  const jobs = startJobs({
    secrets,
    sink,
    sessions,
    sightings,
    links: {
      async sweepLinks() {
        steps.push('sweep links');
        return 0;
      },
    } as unknown as LinkStore,
    mails: {
      async sweepMails() {
        steps.push('sweep mails');
        return 0;
      },
    },
    clock: () => 0,
    refusedUntil: () => 0,
    refreshKeys: async () => void steps.push('keys'),
    onExpired: (count) => void steps.push(`${count} expired`),
    onMailsOver: () => {},
    onError: (error) => t.fail(String(error)),
  });
  await until('the end of the first round', () => seen.length === 0);
  await jobs.stop();
  const sweeps = [...['sweep', '3 expired'], ...['sweep', '3 expired'], ...['sweep', '3 expired']];
  const removals = [
    ...['sweep claims', 'sweep claims'],
    ...['sweep sessions', 'sweep sessions', 'sweep sessions', 'sweep sightings'],
    ...['sweep links', 'sweep mails'],
  ];
  t.deepEqual(steps, ['keys', ...sweeps, ...removals]);
});

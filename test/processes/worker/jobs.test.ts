import test from 'ava';
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
  const jobs = startJobs({
    secrets,
    sink,
    clock: () => 0,
    refusedUntil: () => 0,
    refreshKeys: () => void steps.push('keys'),
    onExpired: (count) => void steps.push(`${count} expired`),
    onError: (error) => t.fail(String(error)),
  });
  await until('the end of the first round', () => kept.length === 0);
  await jobs.stop();
  const sweeps = [...['sweep', '3 expired'], ...['sweep', '3 expired'], ...['sweep', '3 expired']];
  t.deepEqual(steps, ['keys', ...sweeps, 'sweep claims', 'sweep claims']);
});

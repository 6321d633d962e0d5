import test from 'ava';
import { startJobs } from '../src/jobs.ts';
import type { SecretStore } from '../src/secrets/store.ts';
import { until } from './support/program.ts';

test('a round takes new master keys and sweeps, until nothing is left', async (t) => {
  const steps: string[] = [];
  const wiped = [200, 200, 7];
  const secrets = {
    async sweep() {
      steps.push('sweep');
      return { wiped: wiped.shift() ?? 0, expired: 3 };
    },
  } as unknown as SecretStore;
  const jobs = startJobs({
    secrets,
    clock: () => 0,
    refreshKeys: () => void steps.push('keys'),
    onExpired: (count) => void steps.push(`${count} expired`),
    onError: (error) => t.fail(String(error)),
  });
  await until('the end of the first round', () => wiped.length === 0);
  await jobs.stop();
  t.deepEqual(steps, ['keys', ...['sweep', '3 expired'], ...['sweep', '3 expired'], ...['sweep', '3 expired']]);
});

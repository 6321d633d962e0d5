import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Answer, readSecret, send, type Target } from '../support/http/client.ts';
import { type ReadyProgram, start } from '../support/process/program.ts';
import { ENGINES, temporaryFolder } from '../support/storage/storage.ts';

const LIMIT = 12;

/** So many creations at once, on a connection each. @returns how many were stored. */
async function countCreated(
  targets: readonly Target[],
  count: number,
  headersOf: (n: number) => Record<string, string> = () => ({}),
): Promise<{ created: Answer[]; refused: Answer[] }> {
  const answers = await Promise.all(
    Array.from({ length: count }, (_, n) =>
      send(targets[n % targets.length] as Target, '/generate', { secret: 's' }, { headers: headersOf(n) }),
    ),
  );
  return {
    created: answers.filter(({ status }) => status === 201),
    refused: answers.filter(({ status }) => status === 429),
  };
}

for (const { name, test, place } of ENGINES) {
  const startWith = async (t: ExecutionContext, env: Record<string, string>): Promise<ReadyProgram> => {
    const { url } = await place(t);
    return start(t, { env: { STORAGE_URL: url, WORKERS: '3', LIMITS: 'on', CLIENT_MAX_SECRETS: `${LIMIT}`, ...env } });
  };

  test(`${name}: workers share a client's limit, whatever it says of itself`, async (t) => {
    const { base } = await startWith(t, {});
    const forged = (n: number) => ({
      'x-forwarded-for': `203.0.113.${n}`,
      'x-real-ip': `203.0.113.${n}`,
      forwarded: `for=203.0.113.${n}`,
      'x-client-ip': `203.0.113.${n}`,
    });
    const { created, refused } = await countCreated([base], 3 * LIMIT, forged);
    t.true(created.length <= LIMIT);
    // On a machine that is too busy the storage may leave some without an answer, and their places taken.
    t.true(created.length + (3 * LIMIT - created.length - refused.length) >= LIMIT);
    t.true(refused.every(({ body, headers }) => body.code === 'QUOTA_EXCEEDED' && Number(headers['retry-after']) > 0));
    for (const { body } of created.slice(0, 5)) {
      t.is((await readSecret(base, body.secret_key as string)).status, 200);
    }
  });

  test(`${name}: LIMITS=off lifts what is counted for a client, not what is stored in all`, async (t) => {
    const env = { LIMITS: 'off', CREATES_PER_MINUTE: '1', CLIENT_MAX_SECRETS: '1', CLIENT_MAX_BYTES: '1' };
    const { base } = await startWith(t, { ...env, STORAGE_MAX_BYTES: '20000' });
    const secret = 's'.repeat(1000);
    const statuses: number[] = [];
    // Each worker may go by a size that is a second old: so many are too many for a second.
    while (statuses.length < 2_000 && statuses.at(-1) !== 507)
      statuses.push((await send(base, '/generate', { secret })).status);
    t.true(statuses.length > 3);
    t.deepEqual([...new Set(statuses)], [201, 507]);
  });

  test(`${name}: through a trusted proxy each of its clients has the limit`, async (t) => {
    const folder = await temporaryFolder(t);
    const targets = [1, 2, 3].map((n) => `unix:${join(folder, `worker-${n}.sock`)}`);
    for (const [env, at] of [
      [{ TRUSTED_PROXIES: '127.0.0.1' }, undefined],
      [{ SOCKET_DIR: folder }, targets],
    ] as const) {
      const { base } = await startWith(t, env);
      const { created } = await countCreated(at ?? [base], 4 * LIMIT, (n) => ({
        'x-forwarded-for': `203.0.113.${n % 2}`,
      }));
      t.true(created.length <= 2 * LIMIT && created.length > LIMIT, `${created.length}`);
    }
  });
}

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { send } from '../support/http/client.ts';
import { findFreePort } from '../support/process/free-port.ts';
import { launch, until, untilReplaced } from '../support/process/program.ts';
import { ENGINES } from '../support/storage/storage.ts';

const QUIET = new Set(['trace', 'debug', 'info']);
/** True of the server of these tests, and not healthy. */
const STANDALONE = /MongoDB runs standalone/;

/** A disk that takes seconds for a write is not healthy either: then the test is done again. */
function isOfSlowDisk(line: string): boolean {
  return /storage does not answer yet|STORAGE_UNAVAILABLE|the fence file is still being written/.test(line);
}

for (const { name, test, place } of ENGINES) {
  for (const NODE_ENV of ['development', 'production']) {
    const logged = async (t: ExecutionContext): Promise<string[]> => {
      const { url } = await place(t);
      const port = await findFreePort();
      const MASTER_KEY = randomBytes(32).toString('hex');
      const env = { NODE_ENV, MASTER_KEY, STORAGE_URL: url, HTTP_PORT: String(port), LOG_LEVEL: 'info' };
      const program = await launch(t, { env });
      let isReady = false;
      // A health check does not wait until the service can be ready.
      const checks = (async (): Promise<void> => {
        while (!isReady) {
          await send(`http://127.0.0.1:${port}`, '/health/ready').catch(() => {});
          await sleep(20);
        }
      })();
      await program.ready();
      const before = program.workers();
      process.kill(program.primary(), 'SIGHUP');
      await untilReplaced(program, before);
      isReady = true;
      await checks;
      program.signal('SIGTERM');
      t.deepEqual(await program.exit, { code: 0, signal: null });
      const lines = program.stderr().trim().split('\n');
      t.true(lines.length > 5);
      return lines.filter(
        (line) => !STANDALONE.test(line) && (!line.startsWith('{') || !QUIET.has(JSON.parse(line).level)),
      );
    };
    test.serial(`${name}: a healthy start, roll and end in ${NODE_ENV} log nothing above info`, async (t) => {
      let loud = await logged(t);
      for (let again = 0; again < 2 && loud.length > 0 && loud.every(isOfSlowDisk); again++) {
        t.log(...loud);
        loud = await logged(t);
      }
      t.deepEqual(loud, []);
    });
  }
}

test('a health check before the storage has answered is no error', async (t) => {
  const port = await findFreePort();
  const base = `http://127.0.0.1:${port}`;
  const env = {
    HTTP_PORT: String(port),
    STORAGE_URL: 'mongodb://127.0.0.1:1/',
    MASTER_KEY: randomBytes(32).toString('hex'),
  };
  const program = await launch(t, { env });
  await until('a listener', () =>
    send(base, '/health/live').then(
      () => true,
      () => false,
    ),
  );
  t.is((await send(base, '/health/ready')).status, 503);
  await until('the line', () => program.stderr().includes('request refused: not ready yet'));
  t.notRegex(program.stderr(), /"level":"(error|fatal)"/);
});

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { start } from '../support/process/program.ts';
import { testWith } from '../support/process/tools.ts';
import { ENGINES, temporaryFolder } from '../support/storage/storage.ts';

/** Makes up requests from the OpenAPI document, and holds the answers against it. Not on the PATH: SCHEMATHESIS=… */
const PROGRAM = process.env.SCHEMATHESIS ?? 'schemathesis';
const SECONDS = Number(process.env.SCHEMATHESIS_SECONDS ?? 40);
/** The same requests each time. Another number makes others. */
const SEED = process.env.SCHEMATHESIS_SEED ?? '1';
/** Beside the seconds in which requests are made, there is a start, and the last request. */
const PATIENCE_MS = (SECONDS + 120) * 1000;

const run = promisify(execFile);
const withProgram = testWith(PROGRAM);

/** Takes every request: the addresses of made-up requests lead here. */
async function startReceiver(t: ExecutionContext): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/plain' }).end('taken');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

for (const engine of ENGINES) {
  const testThis = engine.test === test ? withProgram : engine.test;
  testThis(`made-up requests get documented answers, right ones and wrong ones, ${engine.name}`, async (t) => {
    t.timeout(PATIENCE_MS + 60_000);
    const [folder, { url }, receiver] = [await temporaryFolder(t), await engine.place(t), await startReceiver(t)];
    const env = { STORAGE_URL: url, DATA_DIR: folder, EGRESS_ALLOW: '127.0.0.1', LOG_LEVEL: 'warn' };
    await run('bin/hushbox', ['demo-data'], { env: { ...process.env, ...env } });
    const { base } = await start(t, { folder, env });
    const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
    const ended = await run(
      PROGRAM,
      [
        `--config-file=${here('schemathesis.toml')}`,
        ...['run', `${base}/openapi.json`, `--max-time=${SECONDS}`, `--seed=${SEED}`],
      ],
      {
        cwd: folder, // where it keeps what it learns
        env: { ...process.env, RECEIVER: receiver, SCHEMATHESIS_HOOKS: here('schemathesis_hooks.py'), NO_COLOR: '1' },
        timeout: PATIENCE_MS,
        maxBuffer: 64 * 1024 * 1024,
      },
    ).then(
      ({ stdout }) => ({ isGood: true, stdout }),
      (error: { stdout?: string; message: string }) => ({ isGood: false, stdout: error.stdout ?? error.message }),
    );
    if (!ended.isGood) t.log(ended.stdout);
    t.true(ended.isGood);
    const [, made = '0'] = /^ *(\d+) generated/m.exec(ended.stdout) ?? [];
    t.log(`${made} requests`);
    t.true(Number(made) > 300);
  });
}

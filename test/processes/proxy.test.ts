import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { httpUpstream } from '../proxy/support.ts';
import { send } from '../support/http/client.ts';
import { type ReadyProgram, start, until } from '../support/process/program.ts';

const MEBIBYTE = 1024 * 1024;
/** 128 MiB each way on every `make test`; a gigabyte, in CI, takes some seconds of every core. */
const BODY_BYTES = Number(process.env.PROXY_MEBIBYTES ?? 128) * MEBIBYTE;
const ADDED_MAX_BYTES = 64 * MEBIBYTE;
const KEY = '5a'.repeat(64);
const TOKEN = 'a-token-of-the-proxy';

const loopback = { EGRESS_ALLOW: '127.0.0.1' };

function* chunks(total: number): Generator<Buffer> {
  const chunk = Buffer.alloc(65_536, 1);
  for (let left = total; left > 0; left -= chunk.length) yield left < chunk.length ? chunk.subarray(0, left) : chunk;
}

/** Sends `bytes` through the proxy. @returns how many came back. */
async function pass(program: ReadyProgram, destination: string, bytes: number): Promise<number> {
  const outgoing = httpRequest(`${program.base}/proxy/`, {
    method: 'POST',
    headers: { destination, 'content-length': bytes },
  });
  const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
  const sent = pipeline(Readable.from(chunks(bytes)), outgoing);
  const [response] = await answered;
  if (response.statusCode !== 200) throw new Error(`${response.statusCode}`);
  let received = 0;
  for await (const chunk of response) received += chunk.length;
  await sent;
  return received;
}

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

async function addedDuring(pid: number, run: () => Promise<unknown>): Promise<number> {
  const before = residentBytes(pid);
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, residentBytes(pid));
  }, 5);
  await run().finally(() => clearInterval(timer));
  return most - before;
}

/** Answers with as many bytes as its path says. */
async function takeOrFlood(t: ExecutionContext): Promise<string> {
  const { url } = await httpUpstream(t, (request, response) => {
    const bytes = Number(request.url?.slice(1));
    if (bytes === 0) {
      request.resume().once('end', () => response.end());
      return;
    }
    response.setHeader('content-length', bytes);
    Readable.from(chunks(bytes)).pipe(response);
  });
  return url;
}

test.serial('a body of any length adds at most 64 MB of memory, there and back', async (t) => {
  const url = await takeOrFlood(t);
  const program = await start(t, { env: { ...loopback, WORKERS: '1' } });
  const [worker = 0] = program.workers();
  await pass(program, `${url}${MEBIBYTE}`, MEBIBYTE); // what the first call loads stays
  const there = await addedDuring(worker, async () => t.is(await pass(program, `${url}0`, BODY_BYTES), 0));
  const back = await addedDuring(worker, async () => t.is(await pass(program, `${url}${BODY_BYTES}`, 0), BODY_BYTES));
  t.log(`${BODY_BYTES / MEBIBYTE} MiB there: ${there / MEBIBYTE} MiB more; back: ${back / MEBIBYTE} MiB more`);
  t.true(there <= ADDED_MAX_BYTES, `there: ${there}`);
  t.true(back <= ADDED_MAX_BYTES, `back: ${back}`);
});

const production = { NODE_ENV: 'production', MASTER_KEY: '6b'.repeat(32) };

for (const [title, env, expected] of [
  ['without a key to sign with there is neither proxy nor sink', { PROXY_TOKEN: TOKEN }, [404, 404, 404]],
  ['nor where the proxy is meant to be open', { PROXY_OPEN: 'true' }, [404, 404, 404]],
  ['without a token there is no proxy', { JWT_HEX_SECRET: KEY }, [404, 404, 401]],
  ['with a token the proxy needs it', { JWT_HEX_SECRET: KEY, PROXY_TOKEN: TOKEN }, [407, 201, 401]],
  ['an open proxy is for everybody', { JWT_HEX_SECRET: KEY, PROXY_OPEN: 'true' }, [201, 201, 401]],
] as const) {
  test.serial(`in production: ${title}`, async (t) => {
    const program = await start(t, { env: { ...production, WORKERS: '1', ...env } });
    const withToken = { headers: { 'proxy-authorization': `Bearer ${TOKEN}` } };
    const without = await send(program.base, '/proxy/', {});
    const answers = [without, await send(program.base, '/proxy/', {}, withToken), await send(program.base, '/server/')];
    t.deepEqual(
      answers.map(({ status }) => status),
      [...expected],
    );
    t.is(without.headers['proxy-authenticate'], expected[0] === 407 ? 'Bearer' : undefined);
    const isTold = /"level":"info".*\/proxy\/.* not served/.test(program.stderr());
    t.is(isTold, expected[1] === 404, 'the operator sees why');
  });
}

test.serial('development signs with a key that it makes once and keeps', async (t) => {
  const first = await start(t, { env: { WORKERS: '2' } });
  t.is((await send(first.base, '/proxy/', { a: 1 })).status, 201);
  const key = readFileSync(`${first.folder}/jwt.key`, 'utf8');
  t.regex(key, /^[\da-f]{128}\n$/);
  first.signal('SIGTERM');
  await first.exit;
  const second = await start(t, { folder: first.folder });
  t.is(readFileSync(`${first.folder}/jwt.key`, 'utf8'), key);
  t.is((await send(second.base, '/proxy/', { a: 1 })).status, 201);
  t.is(((await send(second.base, '/server/')).body as unknown as unknown[]).length, 2);
});

test.serial('SIGTERM cuts no call, whichever part of it is under way', async (t) => {
  const program = await start(t, { env: loopback });
  const answers: (() => void)[] = [];
  const { url } = await httpUpstream(t, async (request, response) => {
    if (request.url === '/begun') response.write('begun, ');
    answers.push(() => void response.end('late'));
    for await (const _ of request);
  });
  const calls = ['', 'begun', 'body'].map((path) => {
    const outgoing = httpRequest(`${program.base}/proxy/`, { method: 'POST', headers: { destination: url + path } });
    if (path === 'body') outgoing.write('half, ');
    else outgoing.end();
    return { outgoing, response: once(outgoing, 'response') as Promise<[IncomingMessage]> };
  });
  await until('all calls', () => answers.length === 3);
  program.signal('SIGTERM');
  await sleep(1_000); // connections on which nothing is asked are closed by now
  calls[2]?.outgoing.end('and half');
  for (const answer of answers) answer();
  const texts = await Promise.all(calls.map(async ({ response }) => (await (await response)[0].toArray()).join('')));
  t.deepEqual(texts, ['late', 'begun, late', 'late']);
  t.deepEqual(await program.exit, { code: 0, signal: null });
});

import { execFile } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { createAccounts } from '../src/auth/accounts/accounts.ts';
import { createPasswordRules } from '../src/auth/accounts/password.ts';
import { createCustomers } from '../src/business/customers.ts';
import { hashAtOnce } from '../src/hashing/argon2.ts';
import { NO_LIMITS } from '../src/limits/limits.ts';
import { openSqlite } from '../src/storage/sqlite/open.ts';
import { median, whole } from './figures.ts';
import type { Repeat, Repeated } from './repeat.ts';
import { freePort, runClient, type Service, type ServiceOptions, startService } from './service.ts';

/** Measures what docs/benchmarks-accounts.md says, and writes it. `--quick` takes shorter turns and writes nothing. */
const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const ROUNDS = options.quick ? 1 : 5;
const SECONDS = options.quick ? 2 : 4;
const MANY = options.quick ? 20_000 : 1_000_000;
const GUESSES = options.quick ? 30 : 500;
const PAGE = new URL('../docs/benchmarks-accounts.md', import.meta.url).pathname;
const loadBefore = (loadavg()[0] ?? 0).toFixed(1);
const EMAIL = 'owner@example.com';
const PASSWORD = 'a password of its owner';
const JSON_TYPE = 'Content-Type: application/json';

type Row = { what: string; value: string; target?: string };
const rows: Row[] = [];

const ratios = (numbers: readonly number[], others: readonly number[]): number =>
  median(numbers.map((one, round) => one / (others[round] ?? Number.NaN)));

function wire(method: string, path: string, headers: readonly string[], body = ''): string {
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers];
  if (method !== 'GET') lines.push(JSON_TYPE, `Content-Length: ${Buffer.byteLength(body)}`);
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

async function repeat(port: number, request: string, more: Partial<Repeat> = {}): Promise<number> {
  const all = { port, request, status: 200, connections: 32, seconds: SECONDS, warmupSeconds: 2, ...more };
  const { requestsPerSecond, failures } = await runClient<Repeated>('repeat.ts', all satisfies Repeat);
  if (failures > 0) throw new Error(`${failures} answers to ${request.slice(0, 40)} were wrong`);
  return requestsPerSecond;
}

/** A database with three accounts, one of them disabled, and customers. */
async function fill(customerCount: number): Promise<string> {
  const path = join(mkdtempSync(join(tmpdir(), 'hushbox-accounts-')), 'hushbox.db');
  const {
    accounts: store,
    customers,
    close,
  } = await openSqlite(path, NO_LIMITS, {
    onLost(error) {
      throw error;
    },
    onWarning() {},
  });
  const accounts = createAccounts({ store, rules: createPasswordRules(), hash: hashAtOnce, clock: Date.now });
  for (const email of [EMAIL, 'disabled@example.com']) {
    await accounts.create({ email, password: PASSWORD, role: 'member' });
  }
  await accounts.disable('disabled@example.com');
  const { create } = createCustomers({ store: customers, clock: Date.now, onChange() {} });
  for (let done = 0; done < customerCount; done += 5_000) {
    const some = Math.min(5_000, customerCount - done);
    await Promise.all(
      Array.from({ length: some }, (_, index) => {
        const day = new Date(((done + index) * 7_919 * 86_400_000) % 1.1e12).toISOString().slice(0, 10);
        return create({ name: `Customer ${done + index}`, dob: day }, { userId: 'bench', requestId: 'bench' });
      }),
    );
  }
  await close();
  return `sqlite:${path}`;
}

async function withService<Result>(start: ServiceOptions, run: (service: Service) => Promise<Result>): Promise<Result> {
  const service = await startService({ ...start, env: { LOG_LEVEL: 'silent', ...start.env } }); // audit events are many
  try {
    return await run(service);
  } finally {
    await service.stop();
  }
}

async function logIn({ port }: Service): Promise<string> {
  const body = JSON.stringify({ username: EMAIL, password: PASSWORD });
  const response = await fetch(`http://127.0.0.1:${port}/login`, { method: 'POST', body });
  return ((await response.json()) as { token: string }).token;
}

/** @returns an access token. */
async function signIn({ port }: Service): Promise<string> {
  const body = JSON.stringify({ email: EMAIL, password: PASSWORD });
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/login/`, { method: 'POST', body });
  return /^access_token=([^;]+)/.exec(response.headers.getSetCookie()[0] ?? '')?.[1] ?? '';
}

async function compareValidation(storageUrl: string): Promise<void> {
  const internalPort = await freePort();
  const [bare, ours, verified]: [number[], number[], number[]] = [[], [], []];
  await withService({ entry: 'bench/bare/koa.ts' }, async ({ port }) => {
    await withService({ storageUrl, env: { INTERNAL_PORT: String(internalPort) } }, async (service) => {
      const body = JSON.stringify({ token: await logIn(service) });
      for (let round = 0; round < ROUNDS; round++) {
        bare.push(await repeat(port, wire('POST', '/secrets/key', [], body)));
        ours.push(await repeat(internalPort, wire('POST', '/validateToken', [], body)));
        const access = JSON.stringify({ token: await signIn(service) });
        verified.push(await repeat(service.port, wire('POST', '/api/v1/verify/', [], access)));
      }
    });
  });
  rows.push(
    { what: 'bare Koa + router + koa-body, answers the same request', value: `${whole(median(bare))} requests/s` },
    { what: '`POST /validateToken`', value: `${whole(median(ours))} requests/s` },
    { what: 'against bare Koa', value: ratios(ours, bare).toFixed(2), target: '≥ 0.60' },
    { what: '`POST /api/v1/verify/`, an access token', value: `${whole(median(verified))} requests/s` },
    { what: 'against bare Koa', value: ratios(verified, bare).toFixed(2), target: '≥ 0.50' },
  );
}

async function compareLogIns(storageUrl: string): Promise<void> {
  const cores = availableParallelism();
  const all = Array.from({ length: cores }, (_, core) => core).join(',');
  const [bare, ours]: [number[], number[]] = [[], []];
  const body = JSON.stringify({ username: EMAIL, password: PASSWORD });
  const script = new URL('bare/argon2.ts', import.meta.url).pathname;
  for (let round = 0; round < Math.min(ROUNDS, 3); round++) {
    const { stdout } = await promisify(execFile)(process.execPath, [script, String(cores), String(SECONDS)]);
    bare.push(Number(stdout));
    const rate = await withService({ cores: all, storageUrl, env: { WORKERS: String(cores) } }, ({ port }) =>
      repeat(port, wire('POST', '/login', [], body), { connections: 16 }),
    );
    ours.push(rate);
  }
  rows.push(
    { what: `argon2id alone, ${cores} threads`, value: `${whole(median(bare))} hashes/s` },
    { what: 'log-ins, 16 connections', value: `${whole(median(ours))} a second` },
    { what: 'log-ins against argon2id alone', value: ratios(ours, bare).toFixed(2), target: '≥ 0.90' },
  );
}

async function compareCustomers(fewUrl: string, manyUrl: string): Promise<void> {
  const rates: Record<string, [few: number[], many: number[]]> = { youngest: [[], []], page: [[], []] };
  await withService({ storageUrl: fewUrl }, async (few) => {
    await withService({ storageUrl: manyUrl }, async (many) => {
      for (let round = 0; round < ROUNDS; round++) {
        for (const [index, service] of [few, many].entries()) {
          const headers = [`token: ${await logIn(service)}`];
          const middle = await middleOf(service, headers, index === 0 ? 1_000 : MANY);
          rates.youngest?.[index]?.push(await repeat(service.port, wire('GET', '/customers?numbers=10', headers)));
          const path = `/customers?limit=100&after=${middle}`;
          rates.page?.[index]?.push(await repeat(service.port, wire('GET', path, headers)));
        }
      }
    });
  });
  for (const [what, [few, many]] of Object.entries(rates)) {
    const name = what === 'page' ? 'a page of 100 from the middle' : '`/customers?numbers=10`';
    const value = `${whole(median(few))} and ${whole(median(many))} requests/s: ${ratios(many, few).toFixed(2)}`;
    rows.push({ what: `${name}, 1,000 and ${whole(MANY)} customers`, value, target: '≥ 0.80' });
  }
}

/** The id of a customer in the middle: ids begin with the instant of creation, so half the time is half the way. */
async function middleOf({ port }: Service, [header = '']: readonly string[], count: number): Promise<string> {
  const token = header.slice('token: '.length);
  const ask = async (query: string): Promise<{ id: string }[]> =>
    (await fetch(`http://127.0.0.1:${port}/customers?${query}`, { headers: { token } })).json() as Promise<
      { id: string }[]
    >;
  const step = Math.min(count / 2, 1_000); // further than the middle of few, the pages would be empty
  let after = '';
  for (let passed = 0; passed < Math.min(count / 2, 100_000); passed += step) {
    after = (await ask(`limit=${step}${after && `&after=${after}`}`)).at(-1)?.id ?? after;
  }
  return after;
}

async function compareRefusals(storageUrl: string): Promise<void> {
  const kinds = { known: EMAIL, unknown: 'nobody@example.com', disabled: 'disabled@example.com' };
  const times: Record<string, number[]> = { known: [], unknown: [], disabled: [] };
  await withService({ storageUrl }, async ({ port }) => {
    for (let turn = -5; turn < GUESSES; turn++) {
      for (const [kind, username] of Object.entries(kinds)) {
        const startedAt = performance.now();
        const body = JSON.stringify({ username, password: 'a wrong password' });
        const response = await fetch(`http://127.0.0.1:${port}/login`, { method: 'POST', body });
        await response.text();
        if (response.status !== 401) throw new Error(`a bad log-in got ${response.status}`);
        if (turn >= 0) times[kind]?.push(performance.now() - startedAt);
      }
    }
  });
  const medians = Object.values(times).map(median);
  const spread = ((Math.max(...medians) / Math.min(...medians) - 1) * 100).toFixed(1);
  const value = `${medians.map((ms) => ms.toFixed(2)).join(', ')} ms: ${spread} % apart`;
  rows.push({
    what: `bad log-ins, known, unknown and disabled, ${GUESSES} each in turns`,
    value,
    target: 'within 5 %',
  });
}

const [few, many] = [await fill(1_000), await fill(MANY)];
const steps = [
  () => compareValidation(few),
  () => compareLogIns(few),
  () => compareCustomers(few, many),
  () => compareRefusals(few),
];
for (const step of steps) {
  const before = rows.length;
  await step();
  for (const { what, value, target } of rows.slice(before))
    process.stdout.write(`  ${what}: ${value}   ${target ?? ''}\n`);
}
const lines = [
  '# Benchmarks of accounts',
  '',
  'Written by `node bench/accounts.ts`, which `make bench` runs; do not edit by hand.',
  '',
  `Run on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${availableParallelism()} cores of ${cpus()[0]?.model.trim()}; load average before the start ${loadBefore}, which should be near 0. SQLite, limits off, one worker on one core and its client on another, unless stated. Contestants take turns; median of ${ROUNDS} rounds.`,
  '',
  '| what | measured | target |',
  '|---|---|---|',
  ...rows.map(({ what, value, target }) => `| ${what} | ${value} | ${target ?? ''} |`),
  '',
];
if (!options.quick) writeFileSync(PAGE, lines.join('\n'));

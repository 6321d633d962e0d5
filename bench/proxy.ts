import { createHmac, createSecretKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { randomBytes } from '../src/sealing/random.ts';
import { createTokenKey } from '../src/tokens/calls/key.ts';
import { createCallClaims, signToken } from '../src/tokens/calls/sign.ts';
import { countEarlyAnswers, type EarlyAnswers } from './early.ts';
import { median, whole } from './figures.ts';
import type { Repeat, Repeated } from './repeat.ts';
import { runClient, type Service, startService } from './service.ts';

/**
 * Measures what docs/benchmarks-proxy.md says, and writes it: the proxy against a bare one that signs nothing, in turns,
 * and signing against HMAC alone. `--quick` takes shorter turns and writes nothing.
 */
const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const ROUNDS = options.quick ? 2 : 5;
const SECONDS = options.quick ? 2 : 4;
const CONNECTIONS = 32;
const loadBefore = (loadavg()[0] ?? 0).toFixed(1);
const PAGE = new URL('../docs/benchmarks-proxy.md', import.meta.url).pathname;

type Contestant = { name: string; service: Service; rates: number[]; cpuMicros: number[]; p99: number[] };

async function measure({ service, rates, cpuMicros, p99 }: Contestant, destination: string, warmupSeconds: number) {
  const before = service.cpuSeconds();
  const lines = [
    'POST /proxy/ HTTP/1.1',
    'Host: localhost',
    `Destination: ${destination}`,
    'Content-Type: text/plain',
    'Content-Length: 64',
  ];
  const request = `${lines.join('\r\n')}\r\n\r\n${'b'.repeat(64)}`;
  const calls = { port: service.port, request, status: 200, connections: CONNECTIONS, seconds: SECONDS, warmupSeconds };
  const rate = await runClient<Repeated>('repeat.ts', calls satisfies Repeat);
  if (rate.failures > 0) throw new Error(`${rate.failures} answers were wrong`);
  rates.push(rate.requestsPerSecond);
  p99.push(rate.p99Ms);
  cpuMicros.push(((service.cpuSeconds() - before) / rate.requests) * 1e6);
}

/** Calls a second. */
function repeat(step: () => unknown, ms: number): number {
  let count = 0;
  const startedAt = performance.now();
  while (performance.now() - startedAt < ms) for (let left = 100; left > 0; left--, count++) step();
  return (count / (performance.now() - startedAt)) * 1000;
}

function measureSigning(): { bare: number; signing: number } {
  const bytes = Buffer.alloc(64, 0x5a);
  const [key, bareKey] = [createTokenKey(bytes), createSecretKey(bytes)];
  const claimsOf = createCallClaims({ clock: Date.now, randomBytes });
  const sign = (): string => signToken(key, claimsOf('username'));
  const signed = sign().slice(0, -87);
  const hmac = (): string => createHmac('sha512', bareKey).update(signed).digest('base64url');
  const turns = Array.from({ length: 7 }, () => ({ bare: repeat(hmac, 200), signing: repeat(sign, 200) })).slice(2);
  return { bare: median(turns.map(({ bare }) => bare)), signing: median(turns.map(({ signing }) => signing)) };
}

function report(contestants: readonly [Contestant, Contestant], early: readonly EarlyAnswers[]): void {
  const ratio = (numbers: readonly number[], others: readonly number[]): string =>
    median(numbers.map((one, round) => one / (others[round] ?? Number.NaN))).toFixed(2);
  const [bare, ours] = contestants;
  const { bare: hmacs, signing } = measureSigning();
  const rows = contestants.map(
    ({ name, rates, p99, cpuMicros }) =>
      `| ${name} | ${whole(median(rates))} requests/s, p99 ${median(p99).toFixed(1)} ms, ${whole(median(cpuMicros))} µs CPU each |  |`,
  );
  const lines = [
    '# Benchmarks of the proxy',
    '',
    'Written by `node bench/proxy.ts`, which `make bench` runs; do not edit by hand.',
    '',
    `Run on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${availableParallelism()} cores of ${cpus()[0]?.model.trim()}; load average before the start ${loadBefore}, which should be near 0: other work on the machine slows both down.`,
    '',
    `Requests of 64 bytes to one destination on loopback, ${CONNECTIONS} connections, one worker on one core; client and destination on another core. The two proxies are measured in turns. Median of ${ROUNDS} rounds.`,
    '',
    '| what | measured | target |',
    '|---|---|---|',
    ...rows,
    `| Hushbox against bare, requests a second | ${ratio(ours.rates, bare.rates)} | ≥ 0.60 |`,
    `| Hushbox against bare, CPU per request | ${ratio(bare.cpuMicros, ours.cpuMicros)} |  |`,
    `| \`createHmac\` alone over the same bytes, key prepared | ${whole(hmacs)} a second |  |`,
    `| tokens signed | ${whole(signing)} a second |  |`,
    `| signing against \`createHmac\` | ${(signing / hmacs).toFixed(2)} | ≥ 0.50 |`,
    '',
    '## Early answers',
    '',
    'How many of 50 refusals (413) reach curl that a destination gives before it has read the body. Through the proxy, as many as directly or more.',
    '',
    '| destination | body | directly | through the proxy |',
    '|---|---|---|---|',
    ...early.map(
      ({ server, size, directly, throughProxy }) => `| ${server} | ${size} | ${directly} | ${throughProxy} |`,
    ),
    '',
  ];
  process.stdout.write(`${lines.slice(8).join('\n')}\n`);
  if (!options.quick) writeFileSync(PAGE, lines.join('\n'));
}

const destination = await startService({ entry: 'bench/bare/destination.ts', cores: '1' });
const bareProxy = await startService({ entry: 'bench/bare/proxy.ts' });
const hushbox = await startService({ env: { EGRESS_ALLOW: '127.0.0.1' } });
const contestants: [Contestant, Contestant] = [
  { name: 'bare node:http, forwards, signs nothing', service: bareProxy, rates: [], cpuMicros: [], p99: [] },
  { name: 'Hushbox', service: hushbox, rates: [], cpuMicros: [], p99: [] },
];
try {
  for (let round = 0; round < ROUNDS; round++) {
    for (const one of contestants) await measure(one, `http://127.0.0.1:${destination.port}/`, round === 0 ? 3 : 1);
  }
  report(contestants, await countEarlyAnswers(hushbox.port));
} finally {
  for (const { stop } of [hushbox, bareProxy, destination]) await stop();
}

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { whole } from './figures.ts';
import { residentMiB, startService } from './service.ts';

/**
 * What large secrets add to the memory of one worker, and to the time of small reads: clients that send 1 MiB all at once,
 * and then clients that read these secrets slowly. Each comes from an address of its own, because each may have a quarter
 * of the room. Run: node bench/bodies.ts [--clients 200] [--mib 1]
 */
const { values } = parseArgs({
  options: { clients: { type: 'string', default: '200' }, mib: { type: 'string', default: '1' } },
});
const CLIENTS = Number(values.clients);
const BYTES = Number(values.mib) * 1024 * 1024;
/** A slow reader pauses behind every piece that arrives, for its first seconds. */
const PAUSE_MS = 100;
const SLOW_MS = 5_000;
/** Of the client that reads small secrets. */
const SMALL_INDEX = 60_000;
const SMALL = JSON.stringify({ secret: 's'.repeat(64) });

type Answer = { status: number; body: string };
type Figures = { mostMiB: number; p99Ms: number; reads: number };

function ask(port: number, path: string, body: string, index: number, slowMs = 0): Promise<Answer> {
  const localAddress = `127.${2 + (index >> 16)}.${(index >> 8) & 255}.${index & 255 || 1}`;
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const slowUntil = performance.now() + slowMs;
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (performance.now() > slowUntil) return;
      socket.pause();
      setTimeout(() => socket.resume(), PAUSE_MS);
    });
    socket.on('end', () => {
      const text = Buffer.concat(chunks).toString('latin1');
      resolve({ status: Number(text.slice(9, 12)), body: text.slice(text.indexOf('\r\n\r\n') + 4) });
    });
    socket.on('error', reject);
    socket.write(head);
    socket.end(body);
  });
}

/** @returns how long reading a small secret took, in ms. */
async function readSmall(port: number): Promise<number> {
  const created = await ask(port, '/generate', SMALL, SMALL_INDEX);
  const { secret_key: key } = JSON.parse(created.body);
  const before = performance.now();
  const { status } = await ask(port, `/secrets/${key}`, '', SMALL_INDEX);
  if (status !== 200) throw new Error(`a small read got ${status}`);
  return performance.now() - before;
}

/** Reads small secrets while `work` lasts, and looks at the memory. */
async function watch<T>(port: number, pid: number, work: Promise<T>): Promise<Figures & { result: T }> {
  const times: number[] = [];
  let isOver = false;
  let mostMiB = residentMiB(pid);
  const timer = setInterval(() => {
    mostMiB = Math.max(mostMiB, residentMiB(pid));
  }, 10);
  const reading = (async () => {
    while (!isOver) {
      times.push(await readSmall(port));
      await sleep(2);
    }
  })();
  const result = await work.finally(() => {
    isOver = true;
  });
  await reading;
  clearInterval(timer);
  times.sort((a, b) => a - b);
  return { result, mostMiB, p99Ms: times[Math.floor(times.length * 0.99)] ?? Number.NaN, reads: times.length };
}

function print(what: string, { mostMiB, p99Ms, reads }: Figures, calm: Figures): void {
  const added = (mostMiB - calm.mostMiB).toFixed(0);
  const times = (p99Ms / calm.p99Ms).toFixed(1);
  process.stdout.write(`${what}: ${added} MiB more than ${calm.mostMiB.toFixed(0)}, `);
  process.stdout.write(`p99 of ${whole(reads)} small reads ${p99Ms.toFixed(1)} ms (${times} ×)\n`);
}

function statusesOf(answers: readonly Answer[]): string {
  const counts = Map.groupBy(answers, ({ status }) => status);
  return [...counts].map(([status, { length }]) => `${length} × ${status}`).join(', ');
}

const service = await startService({
  env: { LIMITS: 'on', CREATES_PER_MINUTE: '1000000', CLIENT_MAX_SECRETS: '100000' },
});
const { port, workerPid } = service;
try {
  for (let index = 0; index < 200; index++) await readSmall(port);
  const calm = await watch(port, workerPid, sleep(3_000));
  print('calm', calm, calm);
  const body = JSON.stringify({ secret: 'x'.repeat(BYTES) });
  const begunAt = performance.now();
  const uploads = Array.from({ length: CLIENTS }, (_, index) => ask(port, '/generate', body, index + 1));
  const sent = await watch(port, workerPid, Promise.all(uploads));
  const seconds = ((performance.now() - begunAt) / 1000).toFixed(1);
  print(`${CLIENTS} uploads in ${seconds} s (${statusesOf(sent.result)})`, sent, calm);
  const stored = sent.result.filter(({ status }) => status === 201);
  const keys = stored.map((one) => JSON.parse(one.body).secret_key as string);
  const readers = keys.map((key, index) => ask(port, `/secrets/${key}`, '', index + 1, SLOW_MS));
  const read = await watch(port, workerPid, Promise.all(readers));
  const arrived = read.result.filter((one) => one.body.length === BYTES + '{"secret":""}'.length);
  print(`${keys.length} slow readers (${statusesOf(read.result)}, ${arrived.length} whole)`, read, calm);
} finally {
  await service.stop();
}

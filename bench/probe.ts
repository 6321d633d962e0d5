/**
 * An open-loop client: requests leave at a fixed rate whatever the answers do, and each counts from the moment it was
 * due. Kind `live` asks GET /health/live, kind `read` reads a secret made beforehand, without phrase. Runs as a child
 * process; argument and answer as in load.ts.
 */
import { Agent, request as httpRequest } from 'node:http';
import { fingerprintOf } from '../src/webhooks/payload.ts';

export type Probe = {
  port: number;
  kind: 'live' | 'read';
  perSecond: number;
  seconds: number;
  socketPath?: string;
  /** Each of the secrets has the next of these addresses told of its end. */
  notify?: readonly string[];
};
export type Delay = {
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  failures: number;
  /** Of secrets with `notify`: what their events call them, when they were to be read, and who is told. */
  told: Told[];
};
export type Told = { id: string; dueAt: number; url: string };

const { port, kind, perSecond, seconds, notify = [] } = JSON.parse(process.argv[2] as string) as Probe;
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const count = perSecond * seconds;

function send(method: string, path: string, body = ''): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ agent, host: '127.0.0.1', port, method, path }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, text }));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

const keys: string[] = [];
const told: Told[] = [];

async function create(index: number): Promise<void> {
  const url = notify[index % notify.length];
  const { text } = await send('POST', '/generate', JSON.stringify({ secret: 's', notify: url }));
  keys[index] = (JSON.parse(text) as { secret_key: string }).secret_key;
}

const CREATED_AT_ONCE = 8;
for (let index = 0; kind === 'read' && index < count; index += CREATED_AT_ONCE) {
  const some = Array.from({ length: Math.min(CREATED_AT_ONCE, count - index) }, (_, offset) => create(index + offset));
  await Promise.all(some);
}

const delays: number[] = [];
let failures = 0;
const startedAt = performance.now();
const pending: Promise<void>[] = [];
for (let index = 0; index < count; index++) {
  const due = startedAt + (index * 1000) / perSecond;
  while (performance.now() < due)
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
  const url = notify[index % notify.length];
  if (url) told.push({ id: fingerprintOf(keys[index] as string), dueAt: performance.timeOrigin + due, url });
  const answer = kind === 'live' ? send('GET', '/health/live') : send('POST', `/secrets/${keys[index]}`);
  pending.push(
    answer
      .then(({ status }) => {
        if (status !== 200) failures += 1;
      })
      .catch(() => {
        failures += 1;
      })
      .then(() => {
        delays.push(performance.now() - due);
      }),
  );
}
await Promise.all(pending);
delays.sort((a, b) => a - b);
const percentile = (share: number): number =>
  delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? Number.NaN;
const delay: Delay = { p50Ms: percentile(0.5), p99Ms: percentile(0.99), maxMs: percentile(1), failures, told };
process.stdout.write(`${JSON.stringify(delay)}\n`, () => process.exit(0)); // all of it: it can be long

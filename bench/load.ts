import { connect, type Socket } from 'node:net';
import { parseArgs } from 'node:util';

/**
 * A closed-loop client on raw sockets, small enough not to be what is measured: each connection creates a secret,
 * reads it, and begins again. Prints one JSON line. The answer's JSON is searched, not parsed.
 */
const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    connections: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '4' },
    warmup: { type: 'string', default: '1' },
    phrase: { type: 'boolean', default: false },
    bytes: { type: 'string', default: '64' },
  },
});
const port = Number(values.port);
const secret = 's'.repeat(Number(values.bytes));
const phrase = 'correct horse';
const createBody = JSON.stringify(values.phrase ? { secret, phrase } : { secret });
const readBody = values.phrase ? JSON.stringify({ phrase }) : '';
const head = (path: string, body: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const create = head('/generate', createBody);
const KEY = '"secret_key":"';
const EXPECTED = `{"secret":"${secret}"}`;

const latencies: number[] = [];
let isMeasuring = false;
let pairs = 0;
let failures = 0;

function run(socket: Socket): void {
  let startedAt = 0;
  let isReading = false;
  let pending = '';
  const begin = (): void => {
    startedAt = performance.now();
    isReading = false;
    socket.write(create);
  };
  socket.on('data', (chunk) => {
    pending += chunk.toString('latin1');
    const end = pending.indexOf('\r\n\r\n');
    if (end < 0) return;
    const lengthAt = pending.search(/content-length: /i) + 16;
    const length = Number.parseInt(pending.slice(lengthAt, lengthAt + 8), 10);
    if (pending.length < end + 4 + length) return;
    const body = pending.slice(end + 4);
    pending = '';
    if (!isReading) {
      const at = body.indexOf(KEY);
      if (at < 0) failures += 1;
      isReading = true;
      socket.write(head(`/secrets/${body.slice(at + KEY.length, body.indexOf('"', at + KEY.length))}`, readBody));
      return;
    }
    if (body !== EXPECTED) failures += 1;
    if (isMeasuring) {
      pairs += 1;
      latencies.push(performance.now() - startedAt);
    }
    begin();
  });
  begin();
}

for (let index = 0; index < Number(values.connections); index++) {
  const socket = connect(port, '127.0.0.1', () => run(socket));
  socket.setNoDelay(true);
}
await new Promise((resolve) => setTimeout(resolve, Number(values.warmup) * 1000));
isMeasuring = true;
const startedAt = performance.now();
await new Promise((resolve) => setTimeout(resolve, Number(values.seconds) * 1000));
const seconds = (performance.now() - startedAt) / 1000;
latencies.sort((a, b) => a - b);
const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
process.stdout.write(
  `${JSON.stringify({ pairsPerSecond: pairs / seconds, p50Ms: at(0.5), p99Ms: at(0.99), failures })}\n`,
);
process.exit(0);

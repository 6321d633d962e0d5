import { connect } from 'node:net';

/** A closed-loop client that sends one request again and again. Its one argument is a `Repeat` as JSON, its answer a `Repeated`. */
export type Repeat = {
  port: number;
  /** The whole request, as it is on the wire. */
  request: string;
  status: number;
  connections: number;
  seconds: number;
  warmupSeconds: number;
};
export type Repeated = {
  requestsPerSecond: number;
  /** With those of the warm-up. */
  requests: number;
  p99Ms: number;
  failures: number;
};

const { port, request, status, connections, seconds, warmupSeconds } = JSON.parse(process.argv[2] as string) as Repeat;
const latencies: number[] = [];
let isMeasuring = false;
let requests = 0;
let failures = 0;

function lengthOf(answer: string): number {
  const end = answer.indexOf('\r\n\r\n');
  if (end < 0) return Number.POSITIVE_INFINITY;
  return end + 4 + Number(/content-length: (\d+)/i.exec(answer)?.[1] ?? 0);
}

function open(): void {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let pending = '';
  let startedAt = 0;
  const begin = (): void => {
    startedAt = performance.now();
    socket.write(request);
  };
  socket.on('connect', begin);
  socket.on('data', (chunk) => {
    pending += chunk.toString('latin1');
    if (pending.length < lengthOf(pending)) return;
    if (!pending.startsWith(`HTTP/1.1 ${status} `)) failures += 1;
    pending = '';
    requests += 1;
    if (isMeasuring) latencies.push(performance.now() - startedAt);
    begin();
  });
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
for (let index = 0; index < connections; index++) open();
await sleep(warmupSeconds * 1000);
isMeasuring = true;
const startedAt = performance.now();
await sleep(seconds * 1000);
const elapsedSeconds = (performance.now() - startedAt) / 1000;
latencies.sort((a, b) => a - b);
const repeated: Repeated = {
  requestsPerSecond: latencies.length / elapsedSeconds,
  requests,
  p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN,
  failures,
};
process.stdout.write(`${JSON.stringify(repeated)}\n`);
process.exit(0);

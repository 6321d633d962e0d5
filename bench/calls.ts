import { connect } from 'node:net';

/** A closed-loop client of a proxy. Its one argument is a `Calls` as JSON, its answer one line of JSON, a `CallRate`. */
export type Calls = { port: number; destination: string; connections: number; seconds: number; warmupSeconds: number };
export type CallRate = { requestsPerSecond: number; requests: number; p99Ms: number; failures: number };

const calls = JSON.parse(process.argv[2] as string) as Calls;
const body = 'b'.repeat(64);
const REQUEST = `POST /proxy/ HTTP/1.1\r\nHost: localhost\r\nDestination: ${calls.destination}\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n\r\n${body}`;
const latencies: number[] = [];
let isMeasuring = false;
let requests = 0;
let failures = 0;

function open(): void {
  const socket = connect({ port: calls.port, host: '127.0.0.1', noDelay: true });
  let pending = '';
  let startedAt = 0;
  const begin = (): void => {
    startedAt = performance.now();
    socket.write(REQUEST);
  };
  socket.on('connect', begin);
  socket.on('data', (chunk) => {
    pending += chunk.toString('latin1');
    if (!pending.endsWith('\r\n\r\nok')) return;
    if (!pending.startsWith('HTTP/1.1 200')) failures += 1;
    pending = '';
    requests += 1;
    if (isMeasuring) latencies.push(performance.now() - startedAt);
    begin();
  });
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
for (let index = 0; index < calls.connections; index++) open();
await sleep(calls.warmupSeconds * 1000);
isMeasuring = true;
const startedAt = performance.now();
await sleep(calls.seconds * 1000);
const elapsedSeconds = (performance.now() - startedAt) / 1000;
latencies.sort((a, b) => a - b);
const rate: CallRate = {
  requestsPerSecond: latencies.length / elapsedSeconds,
  requests,
  p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN,
  failures,
};
process.stdout.write(`${JSON.stringify(rate)}\n`);
process.exit(0);

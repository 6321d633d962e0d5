import { connect, type Socket } from 'node:net';

/**
 * A closed-loop client on raw sockets, small enough not to be what is measured: each connection creates a secret,
 * reads it, and begins again. The answer's JSON is searched, not parsed. Runs as a child process of its own; its one
 * argument is a `Load` as JSON, its answer one line of JSON, a `Rate`.
 */
export type Load = {
  port: number;
  /** In place of the port: sockets in the file system, which the connections share out among them. */
  sockets?: readonly string[];
  /** After so many pairs a connection ends, and the next one comes from another address: limits count for each. */
  pairsPerClient?: number;
  /** How many of these addresses were used before, and have used up a part of what they may. */
  usedClients?: number;
  connections: number;
  seconds: number;
  warmupSeconds: number;
  phrase?: string;
  /** In place of seconds: ends after so many requests, half of them reads of keys that nobody made. */
  requests?: number;
};
export type Rate = { pairsPerSecond: number; p50Ms: number; p99Ms: number; failures: number };

const load = JSON.parse(process.argv[2] as string) as Load;
const { port, sockets, pairsPerClient, usedClients = 0, connections, seconds, warmupSeconds, phrase, requests } = load;
const secret = 's'.repeat(64);
const createBody = JSON.stringify({ secret, phrase });
const readBody = phrase ? JSON.stringify({ phrase }) : '';
const expected = JSON.stringify({ secret });
const KEY = '"secret_key":"';

const latencies: number[] = [];
let isMeasuring = false;
let failures = 0;
let sent = 0;
let clients = usedClients;

function request(path: string, body: string, headers = ''): string {
  return `POST ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** @param headers of each request. @param proceed what follows when the client has done its part. */
function run(socket: Socket, headers: string, proceed: () => void): void {
  const create = request('/generate', createBody, headers);
  let startedAt = 0;
  let pairs = 0;
  let isReading = false;
  let pending = '';
  const begin = (): void => {
    startedAt = performance.now();
    isReading = false;
    socket.write(create);
  };
  socket.on('data', (chunk) => {
    pending += chunk.toString('latin1');
    const body = completeBody(pending);
    if (body === undefined) return;
    pending = '';
    if (isReading) {
      if (body !== expected) failures += 1;
      if (isMeasuring) latencies.push(performance.now() - startedAt);
      pairs += 1;
      if (pairs === pairsPerClient) {
        socket.destroy();
        proceed();
      } else begin();
      return;
    }
    const at = body.indexOf(KEY) + KEY.length;
    if (at < KEY.length) failures += 1;
    isReading = true;
    socket.write(request(`/secrets/${body.slice(at, body.indexOf('"', at))}`, readBody, headers));
  });
  begin();
}

function completeBody(text: string): string | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const length = /content-length: (\d+)/i.exec(text)?.[1];
  return text.length >= end + 4 + Number(length) ? text.slice(end + 4) : undefined;
}

function runUnknown(socket: Socket): void {
  const unknown = request(`/secrets/${'A'.repeat(48)}`, '');
  let pending = '';
  const next = (): void => {
    sent += 1;
    socket.write(unknown);
  };
  socket.on('data', (chunk) => {
    pending += chunk.toString('latin1');
    const body = completeBody(pending);
    if (body === undefined) return;
    pending = '';
    if (!body.includes('KEY_NOT_FOUND')) failures += 1;
    // Takes turns with the connections that create and read, so that both send about as much.
    if (sent < latencies.length * 2) next();
    else setTimeout(next, 1);
  });
  next();
}

/** Begins a connection, from an address of its own where limits count. */
function open(index: number): void {
  clients += 1;
  const address = `127.${1 + (clients >> 16)}.${(clients >> 8) & 255}.${clients & 255}`;
  const path = sockets?.[index % sockets.length];
  const localAddress = pairsPerClient ? address : undefined;
  const socket = path ? connect(path) : connect({ port, host: '127.0.0.1', ...(localAddress && { localAddress }) });
  // Through a socket of the file system only the header tells the address.
  const headers = path && pairsPerClient ? `X-Forwarded-For: ${address}\r\n` : '';
  const isUnknown = requests !== undefined && index % 4 === 0;
  socket.once('connect', () => (isUnknown ? runUnknown(socket) : run(socket, headers, () => open(index))));
  socket.setNoDelay(true);
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
for (let index = 0; index < connections; index++) open(index);
await sleep(warmupSeconds * 1000);
isMeasuring = true;
const startedAt = performance.now();
if (requests === undefined) await sleep(seconds * 1000);
else while (sent + latencies.length * 2 < requests) await sleep(10);
const elapsedSeconds = (performance.now() - startedAt) / 1000;
latencies.sort((a, b) => a - b);
const percentile = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
const rate: Rate = {
  pairsPerSecond: latencies.length / elapsedSeconds,
  p50Ms: percentile(0.5),
  p99Ms: percentile(0.99),
  failures,
};
process.stdout.write(`${JSON.stringify(rate)}\n`);
process.exit(0);

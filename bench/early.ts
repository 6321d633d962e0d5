import { execFile } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const EACH = 50;
const SIZES = { '64 KiB': 65_536, '2 MiB': 2_097_152, '12 MiB': 12_582_912 };
const REFUSAL = 'HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig';

/** Servers that refuse a body which they do not read. */
const SERVERS: Readonly<Record<string, () => Server>> = {
  'node:http, closes behind its answer': () =>
    createHttpServer((_request, response) => response.writeHead(413, { connection: 'close' }).end('big')),
  'resets at once': () =>
    createServer((socket) => socket.once('data', () => socket.end(REFUSAL, () => socket.resetAndDestroy()))),
  'closes its side, and the rest after 1 s': () =>
    createServer({ allowHalfOpen: true }, (socket) => {
      socket
        .on('error', () => {})
        .once('data', async () => {
          socket.pause().end(REFUSAL);
          await sleep(1_000);
          socket.destroy();
        });
    }),
};

export type EarlyAnswers = { server: string; size: string; directly: number; throughProxy: number };

/** How many of 50 refusals arrive that are given before the body is read, directly and through the proxy. */
export async function countEarlyAnswers(proxyPort: number): Promise<EarlyAnswers[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hushbox-early-'));
  const counted: EarlyAnswers[] = [];
  for (const [server, create] of Object.entries(SERVERS)) {
    const running = create().listen(0, '127.0.0.1');
    await sleep(50);
    const url = `http://127.0.0.1:${(running.address() as AddressInfo).port}/`;
    for (const [size, bytes] of Object.entries(SIZES)) {
      const file = join(folder, String(bytes));
      writeFileSync(file, Buffer.alloc(bytes, 'x'));
      const one = { server, size, directly: 0, throughProxy: 0 };
      for (let times = 0; times < EACH; times++) {
        if (await isRefused(file, [url])) one.directly += 1;
        if (await isRefused(file, ['-H', `Destination: ${url}`, `http://127.0.0.1:${proxyPort}/proxy/`])) {
          one.throughProxy += 1;
        }
      }
      counted.push(one);
    }
    running.close();
  }
  return counted;
}

/** Whether curl, which sends at once, gets the 413. */
function isRefused(file: string, target: readonly string[]): Promise<boolean> {
  const all = ['-s', '-o', '/dev/null', '-w', '%{http_code}', '-m', '20', '-H', 'Expect:', '--data-binary', `@${file}`];
  return new Promise((resolve) => {
    execFile('curl', [...all, ...target], (_error, stdout) => resolve(stdout === '413'));
  });
}

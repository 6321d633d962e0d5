import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { bodyLimitBytes } from '../../src/http/body-limit.ts';
import { createSecret, readSecret, send } from '../support/http/client.ts';
import { parseAnswers, type RawAnswer } from '../support/http/raw.ts';
import { type Nginx, type NginxOptions, startNginx, withNginx } from '../support/nginx/nginx.ts';
import { startUpstream } from '../support/nginx/upstream.ts';
import { start } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const MIB = 1024 * 1024;
const LIMIT = bodyLimitBytes(MIB);

/** nginx in front of the program, without folders for bodies or answers: a request that needs a file gets a 500. */
async function startWithoutFiles(t: ExecutionContext, options: Partial<NginxOptions> = {}): Promise<Nginx> {
  const folder = await temporaryFolder(t);
  const sockets = join(folder, 's');
  await start(t, { folder, env: { SOCKET_DIR: sockets } });
  return removeFolders(await startNginx(t, { sockets, ...options }));
}

function removeFolders(nginx: Nginx): Nginx {
  for (const kind of ['body', 'proxy']) rmSync(join(nginx.folder, `nginx-${kind}`), { recursive: true });
  return nginx;
}

const padded = (bytes: number): string => `{"secret":"s"${' '.repeat(bytes - 14)}}`;
const CHUNK = 100_000;

function withLength(body: string): string {
  return `POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

function inChunks(body: string): string {
  const chunks = Array.from({ length: Math.ceil(body.length / CHUNK) }, (_, n) =>
    body.slice(n * CHUNK, (n + 1) * CHUNK),
  );
  const text = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('');
  return `POST /generate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${text}0\r\n\r\n`;
}

/** A client that reads nothing before it has sent everything. */
function sendAllFirst({ port }: Nginx, text: string): Promise<RawAnswer | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.pause();
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      received += chunk;
      if (parseAnswers(received).answers.length > 0) socket.destroy();
    });
    socket.on('close', () => resolve(parseAnswers(received).answers[0]));
    socket.write(text, () => socket.resume());
  });
}

withNginx(
  'bodies up to the limit are taken, larger ones get the 413 of the service; none is ever in a file',
  async (t) => {
    const nginx = await startWithoutFiles(t);
    for (const form of [withLength, inChunks]) {
      const fits = `{"secret":"${'\\u0061'.repeat(MIB)}"${' '.repeat(1000)}}`;
      t.is((await sendAllFirst(nginx, form(fits)))?.status, 201);
      t.is((await sendAllFirst(nginx, form(padded(LIMIT))))?.status, 201);
      for (const bytes of [LIMIT + 1, 8 * MIB, 16 * MIB, 16 * MIB + 1, 24 * MIB]) {
        const answer = await sendAllFirst(nginx, form(padded(bytes)));
        t.is(answer?.status, 413, `${form.name} ${bytes}`);
        t.like(JSON.parse(answer?.text ?? ''), { code: 'TOO_LARGE', request_id: answer?.headers.get('x-request-id') });
      }
    }
    t.is((await sendAllFirst(nginx, inChunks(padded(LIMIT)).replace('Transfer', 'A: b\r\nTransfer')))?.status, 201);
  },
);

withNginx('with bodies buffered, the same would need a file', async (t) => {
  const buffered = (_name: string, text: string) =>
    text.replace('proxy_request_buffering off', 'proxy_request_buffering on');
  const nginx = await startWithoutFiles(t, { edit: buffered });
  const answer = await sendAllFirst(nginx, withLength(padded(LIMIT)));
  t.is(answer?.status, 500);
  t.like(JSON.parse(answer?.text ?? ''), { code: 'INTERNAL', request_id: answer?.headers.get('x-request-id') });
});

withNginx('the largest secret comes back byte for byte', async (t) => {
  const nginx = await startWithoutFiles(t);
  const secret = 'ü\n"\u0001'.repeat(13_000);
  const key = await createSecret(nginx.base, { secret });
  t.is((await readSecret(nginx.base, key)).body.secret, secret);
  t.like(await send(nginx.base, '/openapi.json'), { status: 200, body: { openapi: '3.1.1' } });
});

withNginx('an answer to a client that does not read waits in memory and in the worker, not in a file', async (t) => {
  const sockets = await temporaryFolder(t);
  const bytes = 20 * MIB;
  await startUpstream(t, sockets, 1, (_request, response) => void response.end(Buffer.alloc(bytes, 'x')));
  const nginx = removeFolders(await startNginx(t, { sockets, workers: 1 }));
  const socket = connect(nginx.port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  socket.pause();
  await sleep(1_000);
  let received = 0;
  for await (const chunk of socket) received += (chunk as Buffer).length;
  t.true(received > bytes, `${received} bytes`);
});

import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { connect, type SecureVersion } from 'node:tls';
import type { ExecutionContext } from 'ava';
import { send } from '../support/http/client.ts';
import { converse } from '../support/http/raw.ts';
import { makeCertificate } from '../support/nginx/certificate.ts';
import { type Nginx, startNginx, withNginx } from '../support/nginx/nginx.ts';
import { echo, startUpstream } from '../support/nginx/upstream.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const HSTS = 'max-age=63072000';

async function startTls(t: ExecutionContext): Promise<Nginx> {
  const sockets = await temporaryFolder(t);
  await startUpstream(t, sockets, 1, echo);
  return startNginx(t, { sockets, workers: 1, server: 'tls.conf', prepare: makeCertificate });
}

type Answer = { status: number; headers: Record<string, unknown>; body: Record<string, unknown> };

function ask(nginx: Nginx, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  const agent = new Agent({ ca: readFileSync(join(nginx.folder, 'fullchain.pem')), servername: 'localhost' });
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: nginx.port + 1, path, agent, headers };
    const outgoing = request(options, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(text) }),
      );
    });
    outgoing.on('error', reject).end();
  });
}

function handshake({ port }: Nginx, version: SecureVersion): Promise<string> {
  return new Promise((resolve) => {
    const options = {
      host: '127.0.0.1',
      port: port + 1,
      minVersion: version,
      maxVersion: version,
      rejectUnauthorized: false,
      ciphers: 'DEFAULT:@SECLEVEL=0',
    };
    const socket = connect(options, () => {
      resolve(socket.getProtocol() ?? '');
      socket.destroy();
    });
    socket.on('error', () => resolve('refused'));
  });
}

withNginx('TLS 1.2 and 1.3 are spoken, older versions are not', async (t) => {
  const nginx = await startTls(t);
  t.is(await handshake(nginx, 'TLSv1.3'), 'TLSv1.3');
  t.is(await handshake(nginx, 'TLSv1.2'), 'TLSv1.2');
  t.is(await handshake(nginx, 'TLSv1.1'), 'refused');
  t.is(await handshake(nginx, 'TLSv1'), 'refused');
});

withNginx("over TLS every answer has HSTS, nginx's own too, and the worker knows that it was TLS", async (t) => {
  const nginx = await startTls(t);
  const passed = await ask(nginx, '/x', { 'X-Forwarded-Proto': 'http' });
  t.like(passed, { status: 200, headers: { 'strict-transport-security': HSTS } });
  t.like(passed.body.headers, { 'x-forwarded-proto': 'https', host: `127.0.0.1:${nginx.port + 1}` });
  t.like(await ask(nginx, '/metrics'), { status: 404, headers: { 'strict-transport-security': HSTS } });
});

withNginx('without TLS there is nothing but the way to it', async (t) => {
  const nginx = await startTls(t);
  for (const method of ['GET', 'POST']) {
    const answer = await send(nginx.base, '/secrets/a%2fb?c', method === 'POST' ? {} : undefined, {
      headers: { host: 'hush.example' },
    });
    t.is(answer.status, 308);
    t.is(answer.headers.location, 'https://hush.example/secrets/a%2fb?c');
    t.like(answer.headers, { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' });
    t.truthy(answer.headers['x-request-id']);
  }
  await expectOurError(t, nginx.port, 'NONSENSE\r\n\r\n');
});

withNginx('plain HTTP on the port of TLS is an error in our shape', async (t) => {
  const nginx = await startTls(t);
  await expectOurError(t, nginx.port + 1, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
});

async function expectOurError(t: ExecutionContext, port: number, request: string): Promise<void> {
  const conversation = await converse({ port });
  conversation.send(request);
  await conversation.untilAnswered(1);
  const [answer] = conversation.answers();
  t.is(answer?.status, 400);
  t.like(JSON.parse(answer?.text ?? ''), { code: 'INVALID_REQUEST', request_id: answer?.headers.get('x-request-id') });
}

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { stripTypeScriptTypes } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import type * as Client from '../../client/hushbox.ts';
import { browserTest, openPage, PLAIN_HTTP_HOST } from '../support/browser/browser.ts';
import { startServer } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

declare global {
  /** In the page: the client, as the browser has loaded it. */
  var client: typeof Client;
  var box: Client.Hushbox;
  /** The code of a failure, or its message. */
  var codeOf: (run: Promise<unknown>) => Promise<string>;
}

/** What the origin of the page answers to what the client asks for. */
type Pass = (method: string, path: string, key: string | undefined, body: Buffer) => Promise<Response>;

/** To a real server. */
async function passToServer(t: ExecutionContext): Promise<Pass> {
  const { base } = await startServer(t, {
    place: await SQLITE.place(t),
    env: { SECRET_MAX_BYTES: String(11 << 20) },
  });
  return (method, path, key, body) =>
    fetch(base + path, {
      method,
      headers: key ? { 'idempotency-key': key } : {},
      ...(body.length > 0 && { body: new Uint8Array(body) }),
    });
}

/** A page that has loaded the client. */
async function openClient(t: ExecutionContext, pass: Pass, host = '127.0.0.1') {
  const paths: string[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { url = '', method = 'GET', headers } = request;
    const [, name] = /^\/client\/(\w+\.ts)$/.exec(url) ?? [];
    if (name) {
      response.setHeader('content-type', 'text/javascript');
      response.end(stripTypeScriptTypes(readFileSync(`client/${name}`, 'utf8')));
    } else if (url === '/') {
      response.setHeader('content-type', 'text/html');
      response.end('<!doctype html><link rel="icon" href="data:,"><title>client</title>');
    } else {
      paths.push(`${method} ${url}`);
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const key = headers['idempotency-key'] as string | undefined;
      const passed = await pass(method, url, key, Buffer.concat(chunks));
      const body = Buffer.from(await passed.arrayBuffer());
      const more = ['location', 'retry-after'].flatMap((name) => {
        const value = passed.headers.get(name);
        return value ? [[name, value]] : [];
      });
      response.writeHead(passed.status, { 'content-length': body.length, ...Object.fromEntries(more) });
      response.end(body);
    }
  };
  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://${host}:${(server.address() as AddressInfo).port}`;
  const page = await openPage(t, [origin]);
  await page.goto(origin);
  await page.evaluate(async (from) => {
    globalThis.client = await import(`${from}/client/hushbox.ts`);
    globalThis.box = new client.Hushbox(from);
    globalThis.codeOf = (run) => run.then(String, ({ code, message }) => code ?? message);
  }, origin);
  return { page, paths, origin };
}

browserTest('a browser sends, opens, asks and answers with the same client', async (t) => {
  const { page, paths } = await openClient(t, await passToServer(t));
  const seen = await page.evaluate(async () => {
    const { link } = await box.send({ text: '\uFEFF\r\n秘密', files: [new File(['\0\r\n'], 'a"%22../\u202e')] });
    const opened = await box.open(link, { onProgress: () => {} });
    const request = await box.request({ note: 'what' });
    await box.answer(request.link, 'the answer', { onProgress: () => {} });
    const answered = await box.open(request.keepLink);
    const again = await box.open(link).catch((error: Client.HushboxError) => error.code);
    const [file] = opened.files;
    return [opened.text, file?.name, await file?.text(), answered.text, again];
  });
  t.deepEqual(seen, ['\uFEFF\r\n秘密', 'a"%22../\u202e', '\0\r\n', 'the answer', 'KEY_NOT_FOUND']);
  t.true(paths.every((path) => !path.includes('#') && !path.includes('%23')));
});

browserTest('10 MB are sealed, sent with progress, and opened', async (t) => {
  const { page } = await openClient(t, await passToServer(t));
  const { sent, received, isSame, longestMs } = await page.evaluate(async () => {
    const bytes = new Uint8Array(10_000_000);
    for (let at = 0; at < bytes.length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
    const pause = () => new Promise((resolve) => setTimeout(resolve, 200));
    await pause();
    let longestMs = 0;
    const observer = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) longestMs = Math.max(longestMs, duration);
    });
    observer.observe({ type: 'longtask' as 'measure' });
    const [sent, received]: [number[], number[]] = [[], []];
    const { link } = await box.send([new File([bytes], 'large')], { onProgress: (fraction) => sent.push(fraction) });
    const { files } = await box.open(link, { onProgress: (fraction) => received.push(fraction) });
    await pause();
    observer.disconnect();
    const copy = new Uint8Array((await files[0]?.arrayBuffer()) ?? new ArrayBuffer());
    const isSame = copy.length === bytes.length && copy.every((byte, at) => byte === bytes[at]);
    return { sent, received, isSame, longestMs };
  });
  t.true(isSame);
  for (const fractions of [sent, received]) {
    t.true(fractions.length >= 2, `${fractions.length} steps`);
    t.deepEqual(fractions, fractions.toSorted());
    t.is(fractions.at(-1), 1);
  }
  t.log(`longest task: ${Math.round(longestMs)} ms`); // a number of this machine, and of what else it does
});

browserTest('with and without progress, a browser does not take the answer of a redirect', async (t) => {
  const honest = JSON.stringify({ secret_key: 'moved', expires_at: '2026-11-24T04:05:00.000Z' });
  const { page, paths } = await openClient(t, async (_, path) => {
    if (path.endsWith('/moved')) return new Response(honest, { status: 201 });
    return new Response('', { status: 307, headers: { location: `${path}/moved` } });
  });
  const codes = await page.evaluate(async () => [
    await codeOf(box.send('text')),
    await codeOf(box.receipt('receipt_key')),
    await codeOf(box.send('text', { onProgress: () => {} })),
  ]);
  t.deepEqual(codes, ['UNTRUSTED', 'UNTRUSTED', 'UNTRUSTED']);
  // Where progress is watched, a browser follows first and asks later; what it sends is sealed.
  t.deepEqual(paths, ['POST /generate', 'GET /receipts/receipt_key', 'POST /generate', 'POST /generate/moved']);
});

browserTest('with progress, errors come with their code, and with how long to wait', async (t) => {
  const { page } = await openClient(t, async () => {
    const body = JSON.stringify({ Error: 'The server is busy', code: 'BUSY' });
    return new Response(body, { status: 503, headers: { 'retry-after': '7' } });
  });
  const error = await page.evaluate(() =>
    box.send('text', { onProgress: () => {} }).catch(({ code, status, retryAfterSeconds }: Client.HushboxError) => {
      return { code, status, retryAfterSeconds };
    }),
  );
  t.deepEqual(error as object, { code: 'BUSY', status: 503, retryAfterSeconds: 7 });
});

browserTest('an upload that is given up ends with the reason', async (t) => {
  const { page } = await openClient(t, await passToServer(t));
  const seen = await page.evaluate(async () => {
    const controller = new AbortController();
    const file = new File([new Uint8Array(8_000_000)], 'large');
    const onProgress = () => controller.abort(new Error('changed my mind'));
    return codeOf(box.send([file], { signal: controller.signal, onProgress }));
  });
  t.is(seen, 'changed my mind');
});

browserTest('over plain HTTP the client says so before it sends anything; the server can still seal', async (t) => {
  const { page, paths, origin } = await openClient(t, await passToServer(t), PLAIN_HTTP_HOST);
  const codes = await page.evaluate(async () => {
    return [
      await codeOf(box.send('text')),
      await codeOf(box.request()),
      (await box.send('text', { plain: true })).link,
    ];
  });
  t.deepEqual(codes.slice(0, 2), ['NEEDS_HTTPS', 'NEEDS_HTTPS']);
  t.true(codes[2]?.startsWith(`${origin}/secrets/`));
  t.deepEqual(paths, ['POST /generate']);
});

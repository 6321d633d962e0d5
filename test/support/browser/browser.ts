import { existsSync } from 'node:fs';
import { Readable } from 'node:stream';
import test, { type ExecutionContext, type TestFn } from 'ava';
import { type Browser, type BrowserContextOptions, chromium, type Page, type Request } from 'playwright-core';
import { send } from '../http/client.ts';
import { testIf } from '../process/needs.ts';
import { until } from '../process/program.ts';

const CANDIDATES = [process.env.CHROMIUM_PATH ?? '', '/usr/bin/chromium', '/usr/bin/google-chrome'];
const executablePath = CANDIDATES.find((path) => existsSync(path));

/** Resolves to 127.0.0.1, but over plain HTTP a browser trusts it less than that address. */
export const PLAIN_HTTP_HOST = 'hushbox.test';

/** Tests that share one browser run one after the other: they share its clipboard. Visible skips without a Chromium. */
export const browserTest = testIf(executablePath !== undefined, 'chromium').serial as TestFn;

let browser: Promise<Browser> | undefined;
test.after.always(async () => (await browser)?.close());

function launch(): Promise<Browser> {
  return chromium.launch({
    ...(executablePath && { executablePath }),
    ignoreDefaultArgs: ['--disable-back-forward-cache'], // what the Back button shows must be what users see
    args: [
      '--no-sandbox', // root, as in containers, cannot have one; only our own pages are opened
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--host-resolver-rules=MAP ${PLAIN_HTTP_HOST} 127.0.0.1`,
    ],
  });
}

/**
 * A page that shares nothing with other pages but the clipboard.
 * The test fails if the page logs anything, throws, opens an alert or sends a request to another origin.
 * @param origins the addresses that the test itself serves.
 */
export async function openPage(
  t: ExecutionContext,
  origins: readonly string[],
  options: BrowserContextOptions = {},
): Promise<Page> {
  browser ??= launch();
  const permissions = ['clipboard-read', 'clipboard-write'];
  const context = await (await browser).newContext({ locale: 'en-US', permissions, ...options });
  const complaints: string[] = [];
  t.teardown(async () => {
    await context.close();
    if (complaints.length > 0) throw new Error(`the browser complained: ${complaints.join('\n')}`);
  });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  page.on('console', (message) => {
    // Chromium logs every 4xx and 5xx answer; to the page it is an answer like others. "verbose" is advice.
    const isExpected =
      message.text().startsWith('Failed to load resource:') || (message.type() as string) === 'verbose';
    if (!isExpected) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    const { origin } = new URL(request.url());
    if (!origins.some((ours) => new URL(ours).origin === origin)) complaints.push(`a request to ${request.url()}`);
  });
  page.on('dialog', (dialog) => {
    if (dialog.type() !== 'confirm') complaints.push(`${dialog.type()}: ${dialog.message()}`);
    void dialog.accept();
  });
  return page;
}

/**
 * Waits until an expression is true in the page, or a promise of true. `page.waitForFunction` is no help: from the second
 * look on it needs `eval`, which our policy forbids, and to it each promise is true.
 */
export async function untilTrue(page: Page, expression: string): Promise<void> {
  await until(expression, async () => (await page.evaluate(expression)) === true);
}

/** What becomes of a request. `lose`: the server answers, and the answer never arrives. */
export type Fate = 'pass' | 'lose' | { status: number; headers?: Record<string, string>; body?: string };

/**
 * Decides what becomes of each POST that the page sends from now on.
 * @param decide is given the number of the request, from 1.
 * @returns the headers of all that were sent; grows.
 */
export async function decidePosts(page: Page, decide: (count: number) => Fate): Promise<Record<string, string>[]> {
  const posts: Record<string, string>[] = [];
  await page.route('**', async (route, request) => {
    if (request.method() !== 'POST') return route.continue();
    posts.push(request.headers());
    const fate = decide(posts.length);
    if (fate === 'pass') return route.continue();
    if (fate !== 'lose') return route.fulfill(fate);
    await passOn(request).catch((error) => {
      if (!page.isClosed()) throw error; // the test may be over by now
    });
    return route.abort('connectionreset');
  });
  return posts;
}

/** Sends what the browser wanted to send, and tells it nothing of the answer: no cookie either, as `route.fetch` would. */
async function passOn(request: Request): Promise<void> {
  const { origin, pathname, search } = new URL(request.url());
  const body = request.postDataBuffer() ?? Buffer.alloc(0);
  const headers = { ...(await request.allHeaders()), 'content-length': String(body.length) };
  await send(origin, pathname + search, Readable.from([body]), { headers });
}

/**
 * Everything that the page sends from now on. Chromium shows the bodies of intercepted requests alone.
 * @returns a line for each request; grows.
 */
export async function watchNetwork(page: Page): Promise<string[]> {
  const sent: string[] = [];
  await decidePosts(page, () => 'pass');
  page.on('request', (request) => {
    sent.push(`${request.method()} ${request.url()} ${JSON.stringify(request.headers())} ${request.postData() ?? ''}`);
  });
  return sent;
}

/** Lets the pages from now on wait for every digest. @returns what lets them go, and waits for those before it. */
export async function holdDigests(page: Page): Promise<() => Promise<void>> {
  await page.addInitScript(`{
    const { digest } = SubtleCrypto.prototype;
    const isLetGo = new Promise((resolve) => { globalThis.letGo = resolve; });
    SubtleCrypto.prototype.digest = async function (...given) {
      await isLetGo;
      return digest.apply(this, given);
    };
  }`);
  return () => page.evaluate("letGo(); crypto.subtle.digest('SHA-256', new Uint8Array()).then(() => {})");
}

/** Stops the time of the pages that this one opens from now on: no timer of theirs ends but by `clock.runFor`. */
export async function stopTime(page: Page): Promise<void> {
  await page.clock.install(); // alone, it lets time pass
  await page.clock.pauseAt(Date.now() + 3_600_000); // only forwards
}

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

const CANDIDATES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const WAIT_MS = 15_000;
const POLL_MS = 20;

/** This name leads here too, but over plain HTTP a browser does not trust it as it does 127.0.0.1. */
export const PLAIN_HTTP_HOST = 'hushbox.test';

/** A Chromium to test with: CHROMIUM_PATH, or one where Linux puts it. */
export const chromiumPath = [process.env.CHROMIUM_PATH ?? '', ...CANDIDATES].find((path) => existsSync(path));

type Message = {
  id?: number;
  method?: string;
  params?: never;
  result?: never;
  error?: { message: string };
  sessionId?: string;
};
type Send = <T = object>(method: string, params?: object) => Promise<T>;
type Paused = { requestId: string; request: { url: string; method: string; headers: Record<string, string> } };
type Evaluated = { result: { value: never }; exceptionDetails?: { exception?: { description?: string } } };

/** What becomes of a request that the page sends. `lose`: the server answers, and the answer never arrives. */
export type Fate = 'pass' | 'lose' | { status: number; headers?: Record<string, string>; body?: string };

export type Page = {
  /** Whatever the browser complained of: exceptions, console errors, violations of the policy. */
  complaints: string[];
  send: Send;
  open(url: string): Promise<void>;
  /** The value of an expression, a promise's too, as if a person had caused it. */
  evaluate<T>(expression: string): Promise<T>;
  /** Resolves as soon as the expression is true. @throws Error after a while. */
  until(expression: string): Promise<void>;
  click(selector: string): Promise<void>;
  type(selector: string, text: string): Promise<void>;
  press(key: 'Tab' | 'Enter'): Promise<void>;
  /** Asks what becomes of each POST to come. @returns the headers of all that were sent. */
  decidePosts(decide: (count: number) => Fate): Promise<Record<string, string>[]>;
};

export type Browser = {
  /** A page that shares nothing with others but the clipboard. */
  newPage(): Promise<Page>;
  close(): Promise<void>;
};

/** Starts Chromium without a window and speaks the DevTools protocol with it, over a pipe. */
export async function startBrowser(): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), 'hushbox-browser-'));
  const child = spawn(
    chromiumPath as string,
    [
      '--headless',
      '--no-sandbox', // root, as in containers, cannot have one; it opens pages of ours alone
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      `--host-resolver-rules=MAP ${PLAIN_HTTP_HOST} 127.0.0.1`,
      `--user-data-dir=${profile}`,
      '--remote-debugging-pipe',
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
  );
  const connection = connect(child);
  return {
    async newPage() {
      const { browserContextId } = await connection.send<{ browserContextId: string }>('Target.createBrowserContext');
      await connection.send('Browser.grantPermissions', {
        browserContextId,
        permissions: ['clipboardReadWrite', 'clipboardSanitizedWrite'],
      });
      const target = { url: 'about:blank', browserContextId };
      const { targetId } = await connection.send<{ targetId: string }>('Target.createTarget', target);
      const attach = { targetId, flatten: true };
      const { sessionId } = await connection.send<{ sessionId: string }>('Target.attachToTarget', attach);
      return createPage(connection, sessionId);
    },
    async close() {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      await connection.send('Browser.close').catch(() => child.kill('SIGKILL'));
      await exited;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

type Connection = {
  send<T = object>(method: string, params?: object, sessionId?: string): Promise<T>;
  listen(sessionId: string, listener: (method: string, params: never) => void): void;
};

function connect(child: ChildProcess): Connection {
  const toBrowser = child.stdio[3] as Writable;
  const fromBrowser = child.stdio[4] as Readable;
  const waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void }>();
  const listeners = new Map<string, (method: string, params: never) => void>();
  let lastId = 0;
  let rest = '';

  fromBrowser.setEncoding('utf8');
  fromBrowser.on('data', (chunk: string) => {
    const messages = (rest + chunk).split('\0');
    rest = messages.pop() as string;
    for (const message of messages) receive(JSON.parse(message) as Message);
  });
  child.once('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('the browser ended'));
  });
  for (const pipe of [toBrowser, fromBrowser]) pipe.on('error', () => {}); // the exit tells

  function receive({ id, method, params, result, error, sessionId }: Message): void {
    if (method !== undefined) listeners.get(sessionId ?? '')?.(method, params as never);
    if (id === undefined) return;
    const call = waiting.get(id);
    waiting.delete(id);
    if (error) call?.reject(new Error(error.message));
    else call?.resolve(result as never);
  }

  return {
    send(method, params = {}, sessionId) {
      const id = ++lastId;
      toBrowser.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
    listen: (sessionId, listener) => void listeners.set(sessionId, listener),
  };
}

async function createPage(connection: Connection, sessionId: string): Promise<Page> {
  const complaints: string[] = [];
  const posts: Record<string, string>[] = [];
  let decide: (count: number) => Fate = () => 'pass';
  const send: Send = (method, params) => connection.send(method, params, sessionId);

  connection.listen(sessionId, (method, params) => {
    const complaint = complaintOf(method, params);
    if (complaint) complaints.push(complaint);
    if (method === 'Page.javascriptDialogOpening') void send('Page.handleJavaScriptDialog', { accept: true });
    if (method === 'Fetch.requestPaused') void settle(params);
  });

  async function settle({ requestId, request, ...stage }: Paused & { responseStatusCode?: number }): Promise<void> {
    if (request.method !== 'POST') return void send('Fetch.continueRequest', { requestId });
    const isAnswered = stage.responseStatusCode !== undefined;
    if (!isAnswered) posts.push(request.headers);
    const fate = decide(posts.length);
    if (typeof fate === 'object') {
      const { status, headers = {}, body = '' } = fate;
      const responseHeaders = Object.entries(headers).map(([name, value]) => ({ name, value }));
      const answer = { responseCode: status, responseHeaders, body: Buffer.from(body).toString('base64') };
      return void send('Fetch.fulfillRequest', { requestId, ...answer });
    }
    if (fate === 'lose' && isAnswered) {
      return void send('Fetch.failRequest', { requestId, errorReason: 'ConnectionReset' });
    }
    void send('Fetch.continueRequest', { requestId });
  }

  await Promise.all(['Page.enable', 'Runtime.enable', 'Log.enable'].map((method) => send(method)));

  async function evaluate<T>(expression: string): Promise<T> {
    const options = { expression, awaitPromise: true, returnByValue: true, userGesture: true };
    const { result, exceptionDetails } = await send<Evaluated>('Runtime.evaluate', options);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? expression);
    return result.value;
  }

  async function until(expression: string): Promise<void> {
    const deadline = performance.now() + WAIT_MS;
    // While a page gives way to the next, there is nothing to evaluate in: that is no failure yet.
    while (!(await evaluate<boolean>(`!!(${expression})`).catch(() => false))) {
      if (performance.now() > deadline) throw new Error(`never came true: ${expression}`);
      await sleep(POLL_MS);
    }
  }

  return {
    complaints,
    send,
    evaluate,
    until,
    async open(url) {
      await send('Page.navigate', { url });
      await until(`location.href === ${JSON.stringify(url)} && document.readyState === 'complete'`);
    },
    async click(selector) {
      await until(`document.querySelector(${JSON.stringify(selector)})?.checkVisibility()`);
      await evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);
    },
    async type(selector, text) {
      await evaluate(`document.querySelector(${JSON.stringify(selector)}).focus()`);
      await send('Input.insertText', { text });
    },
    async press(key) {
      const code = { Tab: 9, Enter: 13 }[key];
      const event = { key, code: key, windowsVirtualKeyCode: code, ...(key === 'Enter' && { text: '\r' }) };
      await send('Input.dispatchKeyEvent', { type: 'keyDown', ...event });
      await send('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
    },
    async decidePosts(by) {
      decide = by;
      const patterns = ['Request', 'Response'].map((requestStage) => ({ urlPattern: '*', requestStage }));
      await send('Fetch.enable', { patterns });
      return posts;
    },
  };
}

type LogEvent = { entry: { source: string; level: string; text: string } };
type ConsoleEvent = { type: string; args: { value?: unknown }[] };
type ExceptionEvent = { exceptionDetails: { text: string; exception?: { description?: string } } };

function complaintOf(method: string, params: unknown): string | undefined {
  if (method === 'Log.entryAdded') {
    const { source, level, text } = (params as LogEvent).entry;
    // An answer of 4xx or 5xx is an error to the log; to the page it is an answer.
    return source === 'network' || level === 'info' || level === 'verbose' ? undefined : `${source}: ${text}`;
  }
  if (method === 'Runtime.consoleAPICalled') return JSON.stringify((params as ConsoleEvent).args);
  if (method !== 'Runtime.exceptionThrown') return undefined;
  const { text, exception } = (params as ExceptionEvent).exceptionDetails;
  return exception?.description ?? text;
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { listAddresses } from '../test/support/browser/addresses.ts';
import { visitStates } from '../test/support/browser/states.ts';
import { createApi } from '../test/support/http/api.ts';
import { record } from './recording.ts';

/** Takes a screenshot of every page in every state, light and dark, on a phone and on a desk. */
const FOLDER = 'pictures';
const VIEWS = [
  { width: 390, colorScheme: 'light' },
  { width: 390, colorScheme: 'dark' },
  { width: 1280, colorScheme: 'light' },
  { width: 1280, colorScheme: 'dark' },
] as const;
const READY = /^Hushbox is ready on (\S+)/m;
const PATIENCE_MS = 60_000;
const CHROMIUM = [process.env.CHROMIUM_PATH ?? '', '/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);

type Server = { base: string; output(): string; child: ChildProcess };

/** A server of its own, with nothing in it; its mail is printed. */
async function startServer(folder: string): Promise<Server> {
  const { PATH = '' } = process.env;
  const child = spawn(process.execPath, ['src/main.ts'], {
    env: { PATH, HTTP_PORT: '0', WORKERS: '1', LIMITS: 'off', DATA_DIR: folder, STORAGE_URL: `sqlite:${folder}/h.db` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const deadline = AbortSignal.timeout(PATIENCE_MS);
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  while (!READY.test(output)) await once(child.stdout, 'data', { signal: deadline });
  return { base: READY.exec(output)?.[1] ?? '', output: () => output, child };
}

async function withServer(task: (server: Server) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hushbox-pictures-'));
  const server = await startServer(folder);
  try {
    await task(server);
  } finally {
    server.child.kill();
    await once(server.child, 'exit');
    rmSync(folder, { recursive: true });
  }
}

async function takePictures(browser: Browser, { width, colorScheme }: (typeof VIEWS)[number]): Promise<void> {
  await withServer(async ({ base, output }) => {
    const view = { viewport: { width, height: 800 }, colorScheme, reducedMotion: 'reduce', locale: 'en-GB' } as const;
    const context = await browser.newContext(view);
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on('dialog', (dialog) => void dialog.accept());
    const server = { ...createApi(base), logged: output };
    await visitStates({ page, server }, async (name) => {
      const file = name.replaceAll(/\W+/g, '-');
      await page.screenshot({ path: `${FOLDER}/${file}-${width}-${colorScheme}.png`, fullPage: true });
    });
    await context.close();
  });
}

/** Every page by its address, in the other language. */
async function takeRussianPictures(browser: Browser, { width, colorScheme }: (typeof VIEWS)[number]): Promise<void> {
  await withServer(async ({ base, output }) => {
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme, locale: 'ru-RU' });
    const paths = await listAddresses({ ...createApi(base), logged: output });
    for (const [name, path] of Object.entries(paths)) {
      await page.goto(base + path, { waitUntil: 'networkidle' });
      const file = name.replaceAll(/\W+/g, '-');
      await page.screenshot({ path: `${FOLDER}/ru-${file}-${width}-${colorScheme}.png`, fullPage: true });
    }
    await page.close();
  });
}

/** Those that README.md shows. */
async function takeDocumentPictures(browser: Browser): Promise<void> {
  await withServer(async ({ base }) => {
    const page = await browser.newPage({
      viewport: { width: 720, height: 400 },
      deviceScaleFactor: 1.5,
      locale: 'en-GB',
    });
    await page.goto(`${base}/`);
    await page.screenshot({ path: 'docs/page.png', fullPage: true });
    await page.close();
    writeFileSync('docs/terminal.svg', record(base));
  });
}

if (!CHROMIUM) throw new Error('pictures need Chromium: set CHROMIUM_PATH');
rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER);
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
try {
  for (const view of VIEWS) await takePictures(browser, view);
  for (const view of [VIEWS[0], VIEWS[3]]) await takeRussianPictures(browser, view);
  await takeDocumentPictures(browser);
} finally {
  await browser.close();
}
process.stdout.write(`Pictures of every page are in ${FOLDER}/\n`);

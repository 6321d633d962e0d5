import { execFile } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { build } from 'esbuild';
import { VERSION } from '../../../src/version.ts';
import { browserTest, openPage, untilTrue } from '../../support/browser/browser.ts';
import { startServer } from '../../support/http/server.ts';
import { shareServer } from '../../support/process/command.ts';
import { SQLITE } from '../../support/storage/storage.ts';

/** What the first releases of Node 22 lack. */
const WITHOUT = 'data:text/javascript,delete URL.parse; delete process.getBuiltinModule';

declare global {
  /** In the page: sends a text, and opens what it has sent. */
  var passOn: (url: string, text: string) => Promise<string | undefined>;
}

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const CLIENT = join(ROOT, 'client');
/** The oldest Node that the package is for, where there is one: the path of its program. */
const { NODE_22 } = process.env;
const NODES = [process.execPath, ...(NODE_22 ? [NODE_22] : [])];

const shared = shareServer();

const PROGRAM = `import { Hushbox, HushboxError, newIdempotencyKey, parseLink } from 'hushbox/client';
const box = new Hushbox(process.env.HUSHBOX_URL);
const { link } = await box.send([new File(['a file'], 'a.txt')], { ttl: { minutes: 5 } });
const { files: [file] } = await box.open(link, { idempotencyKey: newIdempotencyKey() });
const error = await box.open(link).catch((error) => error);
console.log(await file.text(), parseLink(link).kind, error instanceof HushboxError, error.code);
`;
const TYPED = `import { Hushbox, type Sent } from 'hushbox/client';
const sent: Sent = await new Hushbox('http://127.0.0.1').send('x', { receipt: true });
// @ts-expect-error: the types are known
export const wrong: number = sent.link;
`;

const folder = mkdtempSync(join(tmpdir(), 'hushbox-'));
const app = join(folder, 'app');
const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}`, HOME: folder };
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

// Without a network: what it needs must be in it.
test.before(async (t) => {
  t.timeout(180_000);
  mkdirSync(app);
  const npm = (args: readonly string[], cwd: string) =>
    run('npm', args, { cwd, env: { ...env, npm_config_offline: 'true' } });
  await npm(['pack', '--pack-destination', folder], CLIENT);
  const tarball = join(folder, `hushbox-${VERSION}.tgz`);
  writeFileSync(join(app, 'package.json'), '{"name":"app","type":"module"}');
  await npm(['install', '--no-audit', '--no-fund', tarball], app);
});

test.serial('the package installs into an empty folder without a network, and works there', async (t) => {
  const installed = globSync('node_modules/**/*', { cwd: app }).filter((path) => !path.includes('.bin'));
  t.deepEqual(
    installed.filter((path) => /(?<!\.d)\.[cm]?ts$|node_modules\/(?!hushbox)[^.]/.test(path)),
    [],
  );
  t.true(existsSync(join(app, 'node_modules/hushbox/LICENSE')));

  writeFileSync(join(app, 'program.js'), PROGRAM);
  const { base } = shared();
  for (const node of NODES) {
    const there = { cwd: app, env: { ...env, PATH: `${dirname(node)}:${env.PATH}`, HUSHBOX_URL: base } };
    t.is((await run(node, ['program.js'], there)).stdout, 'a file secret true KEY_NOT_FOUND\n');
    const script = 'hushbox --version && echo "some secret" | hushbox send | hushbox open -';
    const onPath = { ...there, env: { ...there.env, PATH: `${app}/node_modules/.bin:${there.env.PATH}` } };
    t.is((await run('sh', ['-c', script], onPath)).stdout, `${VERSION}\nsome secret`);
  }

  writeFileSync(join(app, 'typed.ts'), TYPED);
  const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2024', '--lib', 'es2024,dom'];
  await t.notThrowsAsync(
    run(join(ROOT, 'node_modules/.bin/tsc'), [...options, '--types', '', 'typed.ts'], { cwd: app, env }),
  );
});

const IN_PAGE = `import { Hushbox } from 'hushbox/client';
globalThis.passOn = async (url, text) => {
  const box = new Hushbox(url);
  const { text: opened } = await box.open((await box.send(text)).link);
  return opened;
};
`;

browserTest('the package works in pages of another origin, as modules and as a bundler joins them', async (t) => {
  writeFileSync(join(app, 'page.js'), IN_PAGE);
  const format = 'esm' as const;
  const bundle = await build({ entryPoints: ['page.js'], absWorkingDir: app, bundle: true, format, write: false });
  const imports = JSON.stringify({ imports: { 'hushbox/client': '/node_modules/hushbox/dist/hushbox.js' } });
  const pages: Readonly<Record<string, string>> = {
    '/modules': `<script type="importmap">${imports}</script><script type="module" src="/page.js"></script>`,
    '/bundle': '<script type="module" src="/bundle.js"></script>',
  };
  const server = createServer(({ url = '' }, response) => {
    const page = pages[url];
    response.setHeader('content-type', page ? 'text/html' : 'text/javascript');
    if (page) response.end(`<!doctype html><link rel="icon" href="data:,"><title>x</title>${page}`);
    else response.end(url === '/bundle.js' ? bundle.outputFiles[0]?.text : readFileSync(join(app, url)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { base } = await startServer(t, { place: await SQLITE.place(t), env: { CORS_ORIGINS: origin } });
  for (const path of Object.keys(pages)) {
    const page = await openPage(t, [origin, base]);
    await page.goto(origin + path);
    await untilTrue(page, `typeof globalThis.passOn === 'function'`);
    t.is(await page.evaluate(([url, text]) => passOn(url, text), [base, `from ${path}`] as const), `from ${path}`);
  }
});

test.serial('the library in the package is for pages too: it needs nothing but its own files', (t) => {
  for (const path of globSync('dist/*.js', { cwd: CLIENT })) {
    const text = readFileSync(join(CLIENT, path), 'utf8');
    for (const [, from = ''] of text.matchAll(/\bfrom '([^']+)'/g)) t.regex(from, /^\.\/[a-z]+\.js$/);
    t.notRegex(text, /\bimport\(|\bprocess\b|\bBuffer\b/);
  }
});

test('the package has the version of the service, and no dependency', (t) => {
  const { version, ...more } = JSON.parse(readFileSync(join(CLIENT, 'package.json'), 'utf8'));
  t.is(version, VERSION);
  t.notRegex(Object.keys(more).join(), /ependencies/);
});

test.serial('the command needs nothing that the first releases of Node 22 lack, and warns of nothing', async (t) => {
  const main = join(app, 'node_modules/hushbox/dist/command/main.js');
  for (const node of NODES) {
    const hushbox = (...args: string[]) =>
      run(node, ['--import', WITHOUT, main, ...args], { env: { ...env, HUSHBOX_URL: shared().base } });
    const { stdout, stderr } = await hushbox('request');
    t.regex(stderr, /^\S+#[\w-]{43}\n$/, node);
    t.regex((await hushbox('look', stdout.trim())).stdout, /waits for an answer/);
  }
});

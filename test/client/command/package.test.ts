import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { VERSION } from '../../../src/version.ts';
import { shareServer } from '../../support/process/command.ts';
import { temporaryFolder } from '../../support/storage/storage.ts';

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

test.serial('the package installs into an empty folder without a network, and works there', async (t) => {
  t.timeout(180_000);
  const folder = await temporaryFolder(t);
  const app = join(folder, 'app');
  await mkdir(app);
  const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}`, HOME: folder };
  const npm = (args: readonly string[], cwd: string) =>
    run('npm', args, { cwd, env: { ...env, npm_config_offline: 'true' } });
  await npm(['pack', '--pack-destination', folder], CLIENT);
  const tarball = join(folder, `hushbox-${VERSION}.tgz`);
  await writeFile(join(app, 'package.json'), '{"name":"app","type":"module"}');
  await npm(['install', '--no-audit', '--no-fund', tarball], app);
  const installed = globSync('node_modules/**/*', { cwd: app }).filter((path) => !path.includes('.bin'));
  t.deepEqual(
    installed.filter((path) => /(?<!\.d)\.[cm]?ts$|node_modules\/(?!hushbox)[^.]/.test(path)),
    [],
  );
  t.true(existsSync(join(app, 'node_modules/hushbox/LICENSE')));

  await writeFile(join(app, 'program.js'), PROGRAM);
  const { base } = shared();
  for (const node of NODES) {
    const there = { cwd: app, env: { ...env, PATH: `${dirname(node)}:${env.PATH}`, HUSHBOX_URL: base } };
    t.is((await run(node, ['program.js'], there)).stdout, 'a file secret true KEY_NOT_FOUND\n');
    const script = 'hushbox --version && echo "some secret" | hushbox send | hushbox open -';
    const onPath = { ...there, env: { ...there.env, PATH: `${app}/node_modules/.bin:${there.env.PATH}` } };
    t.is((await run('sh', ['-c', script], onPath)).stdout, `${VERSION}\nsome secret`);
  }

  await writeFile(join(app, 'typed.ts'), TYPED);
  const options = [
    '--strict',
    '--noEmit',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--lib',
    'es2024,dom',
    '--types',
    '',
  ];
  await t.notThrowsAsync(run(join(ROOT, 'node_modules/.bin/tsc'), [...options, 'typed.ts'], { cwd: app, env }));
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

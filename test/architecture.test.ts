import { globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import test from 'ava';

/**
 * Which way imports point: each part of `src/` (a file at its top, or a folder) with the parts it may import.
 * A new part needs a line here; a module (`secrets`, `web`) never names another module.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  main: ['config', 'ops', 'processes', 'quiet'],
  processes: [
    'app',
    'auth',
    'business',
    'clock',
    'config',
    'egress',
    'errors',
    'fence',
    'files',
    'hashing',
    'http',
    'kafka',
    'keys',
    'limits',
    'mail',
    'ops',
    'outbox',
    'proxy',
    'sealing',
    'secrets',
    'sink',
    'storage',
    'tokens',
    'webhooks',
  ],
  cli: [
    'auth',
    'business',
    'config',
    'hashing',
    'fence',
    'files',
    'keys',
    'quiet',
    'sealing',
    'secrets',
    'storage',
    'version',
    'tokens',
  ],
  setup: ['files', 'keys', 'ops', 'quiet'],
  app: ['auth', 'business', 'http', 'openapi', 'ops', 'proxy', 'secrets', 'sink', 'version', 'web'],
  openapi: ['auth', 'business', 'http', 'ops', 'proxy', 'secrets', 'sink', 'version', 'web', 'webhooks'],
  secrets: ['clock', 'errors', 'http', 'limits', 'sealing'],
  webhooks: ['clock', 'egress', 'errors', 'http', 'outbox', 'sealing', 'tokens'],
  auth: ['clock', 'errors', 'hashing', 'http', 'limits', 'mail', 'network', 'sealing', 'tokens'],
  mail: ['clock', 'errors', 'limits', 'network', 'outbox', 'sealing'],
  business: ['clock', 'errors', 'http', 'limits', 'sealing'],
  kafka: ['clock', 'network'],
  proxy: ['egress', 'errors', 'http'],
  sink: ['clock', 'errors', 'http', 'limits'],
  web: ['errors', 'http'],
  ops: ['clock', 'errors', 'http'],
  storage: [
    ...['auth', 'business', 'clock', 'config', 'errors', 'fence', 'files', 'limits', 'mail', 'outbox'],
    ...['sealing', 'secrets', 'sink', 'tokens', 'webhooks'],
  ],
  outbox: ['clock'],
  fence: ['clock', 'errors', 'files'],
  hashing: ['errors'],
  limits: ['errors', 'sealing'],
  egress: ['errors', 'network'],
  tokens: ['clock', 'errors', 'sealing'],
  http: ['errors', 'files', 'network', 'sealing'],
  config: ['http', 'keys', 'network'],
  keys: ['files'],
  sealing: [],
  files: [],
  network: [],
  errors: [],
  clock: [],
  version: [],
  quiet: [],
};

/** Packages with one place: what else needs them asks there. */
const HOME_OF_PACKAGE: Readonly<Record<string, RegExp>> = {
  '../package.json': /^version\.ts$/,
  '../scripts/preload.cjs': /^main\.ts$/,
  '../../scripts/preload.cjs': /^(cli|setup)\/main\.ts$/,
  '../../client/command/help.ts': /^cli\/arguments\.ts$/,
  jose: /^(auth\/sessions\/proofs|tokens\/access\/(access-tokens|signing-keys))\.ts$/,
  '@koa/router': /^http\/routing\.ts$/,
  '@platformatic/kafka': /^kafka\/membership\.ts$/,
  '@node-rs/argon2': /^hashing\/argon2\.ts$/,
  koa: /^app\.ts$/,
  nodemailer: /^mail\/smtp\.ts$/,
  mongodb: /^(storage\/mongo|setup)\//,
  'node:cluster': /^(main|quiet|processes\/primary\/children)\.ts$/,
  'ipaddr.js': /^network\/addresses\.ts$/,
  'node:sqlite': /^storage\/sqlite\//,
  pino: /^ops\/log\.ts$/,
  zod: /^(config\/schema|http\/(operation|openapi)|([a-z]+\/){1,2}([a-z]+-)?(operations|openapi|routes|schemas))\.ts$/,
};

/** What holds the rules: these parts are told the time and given their chances. */
const RULES = [
  ...[
    'auth',
    'business',
    'mail',
    'secrets',
    'outbox',
    'tokens',
    'proxy',
    'sealing',
    'sink',
    'webhooks',
    'fence',
    'limits',
    'web',
    'storage',
    'http',
    'ops',
  ],
];

type Import = { from: string; isTypeOnly: boolean; isStatic: boolean };
type File = { path: string; text: string };

const STATEMENT = /^(?:import|export)\s+(?<type>type\s+)?(?:[^;'"]*?\sfrom\s+)?'(?<from>[^']+)'/gm;
const CALL = /\bimport\(\s*'(?<from>[^']+)'/g;

function importsOf({ text }: File): Import[] {
  const statements = [...text.matchAll(STATEMENT)].map(({ 0: all, groups }) => ({
    from: groups?.from ?? '',
    isTypeOnly: groups?.type !== undefined || /\{(\s*type\s[^,}]+,?)+\s*\}/.test(all),
    isStatic: true,
  }));
  const calls = [...text.matchAll(CALL)].map(({ groups }) => ({
    from: groups?.from ?? '',
    isTypeOnly: false,
    isStatic: false,
  }));
  return [...statements, ...calls];
}

/** The part of `src/` that a path in it belongs to. */
function partOf(path: string): string {
  return (path.split('/')[0] ?? '').replace(/\.ts$/, '');
}

function targetOf({ path }: File, { from }: Import): string {
  return posix.join(posix.dirname(path), from);
}

function faultsOf(file: File): string[] {
  const faults = importsOf(file).flatMap((found) => {
    const isOurs = found.from.startsWith('.') && !(found.from in HOME_OF_PACKAGE);
    const fault = isOurs ? faultOfOurs(file, found) : faultOfPackage(file, found);
    return fault ? [`${file.path} imports ${found.from}: ${fault}`] : [];
  });
  if (/\bprocess\.env\b/.test(file.text) && !/^(((cli|setup)\/)?main|quiet)\.ts$/.test(file.path))
    faults.push(`${file.path} reads the environment`);
  if (/\bconsole\./.test(file.text)) faults.push(`${file.path} writes to the console`);
  if (RULES.includes(partOf(file.path)) && /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b/.test(file.text)) {
    faults.push(`${file.path} takes the time or a chance by itself`);
  }
  return faults;
}

/** What an engine needs of others: each module's port, and what belongs to no module. */
const KNOWN_TO_STORAGE =
  /^([a-z]+\/store|(auth|tokens)\/[a-z]+\/([a-z]+-)?store|secrets\/(records|keys|budget)|webhooks\/event-ids|limits\/limits|sealing\/(head|release)|config\/config|files\/[a-z-]+|clock|errors)\.ts$/;

function faultOfOurs(file: File, found: Import): string | undefined {
  if (!found.from.endsWith('.ts')) return 'does not end in .ts';
  const target = targetOf(file, found);
  const [here, there] = [partOf(file.path), partOf(target)];
  if (here !== there && !MAY_IMPORT[here]?.includes(there)) return `${here} may not import ${there}`;
  if (here === 'storage' && here !== there && !KNOWN_TO_STORAGE.test(target)) {
    return 'storage knows the ports of modules, and the form of ids, alone';
  }
  if (FOLDER_OF_ENGINE.test(file.path) && !isKnownToEngine(file, target)) {
    return 'an engine knows nothing else of storage, and outside of it only errors and files';
  }
  return faultOfEngine(file, found, target);
}

/** What the capabilities of one database share: it knows none of them. */
const FOLDER_OF_ENGINE = /^storage\/(sqlite|mongo)\/engine\//;

function isKnownToEngine({ path }: File, target: string): boolean {
  return posix.dirname(target) === posix.dirname(path) || ['errors', 'files'].includes(partOf(target));
}

function faultOfEngine(file: File, found: Import, target: string): string | undefined {
  const engine = /^storage\/(sqlite|mongo)\//;
  const there = engine.exec(target)?.[1];
  if (!there || engine.exec(file.path)?.[1] === there) return undefined;
  if (file.path !== 'storage/open.ts') return 'only storage/open.ts knows the engines';
  return found.isStatic && !found.isTypeOnly ? 'an engine is loaded only when it is used' : undefined;
}

function faultOfPackage(file: File, { from, isTypeOnly }: Import): string | undefined {
  const home = HOME_OF_PACKAGE[from];
  if (!home) return from.startsWith('node:') ? undefined : 'the package has no entry in HOME_OF_PACKAGE';
  return home.test(file.path) || isTypeOnly ? undefined : 'the package has another home';
}

const FILES: readonly File[] = globSync('src/**/*.ts', { exclude: ['src/web/page/**'] }).map((path) => ({
  path: posix.relative('src', path),
  text: readFileSync(path, 'utf8'),
}));

test('imports point one way, packages stay in their place, the time is passed in', (t) => {
  t.true(FILES.length > 30);
  t.deepEqual(FILES.flatMap(faultsOf), []);
});

const CLIENT_FILES: readonly File[] = globSync('client/*.ts').map((path) => ({
  path: posix.relative('client', path),
  text: readFileSync(path, 'utf8'),
}));

/** Browsers load these files one by one, and programs as a package: what one of the two lacks is not used. */
function faultsOfClient({ path, text }: File): string[] {
  const foreign = importsOf({ path, text }).filter(({ from }) => !/^\.\/[a-z]+\.ts$/.test(from));
  const ofOnePlace =
    text.match(/\b(?:process\.|Buffer\b|require\b|document\.|window\.|localStorage\b|console\.)/g) ?? [];
  return [...foreign.map(({ from }) => from), ...ofOnePlace].map((fault) => `${path} uses ${fault}`);
}

test('the client needs nothing but itself and what browsers and Node share', (t) => {
  t.deepEqual(CLIENT_FILES.map(({ path }) => path).sort(), ['hushbox.ts', 'sealing.ts', 'wire.ts']);
  t.deepEqual(CLIENT_FILES.flatMap(faultsOfClient), []);
  t.deepEqual(circlesOf(CLIENT_FILES), []);
  for (const text of [
    "import { seal } from '../src/app.ts';",
    "import 'node:fs';",
    "import('jose');",
    'Buffer.of(1)',
  ]) {
    t.is(faultsOfClient({ path: 'hushbox.ts', text }).length, 1, text);
  }
});

test('every part of src/ is in the table, and the table names nothing else', (t) => {
  t.deepEqual([...new Set(FILES.map(({ path }) => partOf(path)))].sort(), Object.keys(MAY_IMPORT).sort());
});

test('but for the two programs themselves, only files that hold types alone are left out of the coverage', (t) => {
  const { exclude } = JSON.parse(readFileSync('package.json', 'utf8')).c8 as { exclude: string[] };
  // What is not indented there is the beginning of a type, of an import or of a comment, or the end of one.
  const TYPES = /^(?:export )?(?:type|interface) |^import |^\/\*\*|^ \*|^ {2}|^[}\]]|^$/;
  const holdCode = exclude.filter(
    (path) =>
      !readFileSync(path, 'utf8')
        .split('\n')
        .every((line) => TYPES.test(line)),
  );
  t.deepEqual(holdCode, ['src/main.ts', 'src/setup/main.ts']);
});

test('the table lets no circle through', (t) => {
  const isBelow = (part: string, top: string): boolean =>
    (MAY_IMPORT[part] ?? []).some((next) => next === top || isBelow(next, top));
  for (const part of Object.keys(MAY_IMPORT)) t.false(isBelow(part, part), part);
});

test('no circle of files', (t) => {
  t.deepEqual(circlesOf(FILES), []);
});

test('a circle of files is found, also one of types alone, and one through three files', (t) => {
  const file = (path: string, to: string): File => ({ path, text: `import type { A } from '${to}';` });
  const two = [file('egress/a.ts', './b.ts'), file('egress/b.ts', './a.ts')];
  t.deepEqual(circlesOf(two), [['egress/a.ts', 'egress/b.ts']]);
  const three = [file('app.ts', './http/a.ts'), file('http/a.ts', './b.ts'), file('http/b.ts', '../app.ts')];
  t.deepEqual(circlesOf(three), [['app.ts', 'http/a.ts', 'http/b.ts']]);
  t.deepEqual(circlesOf([file('app.ts', './http/a.ts'), file('http/a.ts', './b.ts')]), []);
});

/** Each circle once, its files in order of their names. */
function circlesOf(files: readonly File[]): string[][] {
  const targets = new Map(files.map((file) => [file.path, importsOf(file).map((found) => targetOf(file, found))]));
  const reachable = new Map(files.map(({ path }) => [path, reachedFrom(path, targets)]));
  const circles = new Map<string, string[]>();
  for (const { path } of files) {
    if (!reachable.get(path)?.has(path)) continue;
    const circle = files
      .map((other) => other.path)
      .filter((other) => {
        return reachable.get(path)?.has(other) && reachable.get(other)?.has(path);
      });
    circles.set(circle.toSorted().join(), circle.toSorted());
  }
  return [...circles.values()];
}

function reachedFrom(start: string, targets: ReadonlyMap<string, readonly string[]>): Set<string> {
  const reached = new Set<string>();
  const next = [...(targets.get(start) ?? [])];
  for (let path = next.pop(); path !== undefined; path = next.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    next.push(...(targets.get(path) ?? []));
  }
  return reached;
}

const WRONG: readonly [path: string, line: string][] = [
  ['errors.ts', "import { createApp } from './app.ts';"],
  ['errors.ts', "export { createApp } from './app.ts';"],
  ['errors.ts', "import type {\n  AppParts,\n} from './app.ts';"],
  ['main.ts', "const { openSqlite } = await import('./storage/sqlite/open.ts');"],
  ['secrets/secrets.ts', "import { webRoutes } from '../web/routes.ts';"],
  ['secrets/secrets.ts', "import { openStorage } from '../storage/open.ts';"],
  ['secrets/secrets.ts', "import { fail } from '../errors';"],
  ['secrets/secrets.ts', 'const now = Date.now();'],
  ['secrets/secrets.ts', 'if (process.env.DEBUG) return;'],
  ['secrets/secrets.ts', "import { MongoClient } from 'mongodb';"],
  ['secrets/secrets.ts', "import leftPad from 'left-pad';"],
  ['storage/sqlite/open.ts', "import { createSecrets } from '../../secrets/secrets.ts';"],
  ['storage/sqlite/open.ts', "import { createFence } from '../../fence/fence.ts';"],
  ['storage/sqlite/open.ts', "import { createKeyRing } from '../../sealing/key-ring.ts';"],
  ['storage/sqlite/open.ts', "import { openMongo } from '../mongo/open.ts';"],
  ['storage/open.ts', "import { openMongo } from './mongo/open.ts';"],
  ['storage/sqlite/open.ts', "import type { Lines } from '../../outbox/fair-queue.ts';"],
  ['storage/mongo/secrets.ts', "import { createSink } from '../../sink/sink.ts';"],
  ['storage/sqlite/engine/database.ts', "import { MIGRATIONS } from '../schema.ts';"],
  ['storage/sqlite/engine/group-commit.ts', "import type { StoreLimits } from '../../../limits/limits.ts';"],
  ['storage/mongo/engine/connection.ts', "import type { SecretDocument } from '../collections.ts';"],
  ['outbox/dispatcher.ts', "import type { Subscription } from '../webhooks/sealed.ts';"],
  ['hashing/gate.ts', "console.log('here');"],
];
for (const [path, text] of WRONG) {
  test(`is refused: ${text.replaceAll(/\s+/g, ' ')} in ${path}`, (t) => {
    t.is(faultsOf({ path, text }).length, 1);
  });
}

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

// Runs the tests, and says at the end what was skipped for want of what: `make test`, and with --coverage `make check`.
// On a terminal one line shows how far it is; CI, and a program that reads the output, gets the lines of ava.
const ROOT = join(import.meta.dirname, '..');
const AVA = join(ROOT, 'node_modules/ava/entrypoints/cli.js');
const C8 = join(ROOT, 'node_modules/c8/bin/c8.js');
/** As src/main.ts: without it each file of tests strips the types of all that it loads again, a third of its time. */
const COMPILED = join(ROOT, 'node_modules/.cache/compiled');
/** Where c8 looks for what V8 has counted. */
const COUNTED = join(ROOT, 'coverage/tmp');

/** What a test can need, by the word in `testIf`, and how to get it. */
const HOW: Readonly<Record<string, string>> = {
  MONGODB_TEST_URL: 'a MongoDB server that may be used: MONGODB_TEST_URL=mongodb://127.0.0.1:27017 make test',
  RIG_DIR: 'a MongoDB server that may be killed: RIG_DIR names the folder of a program `mongo-server`',
  KAFKA_DIR: 'a Kafka broker (Java 17): KAFKA_DIR names the folder of the programs `start` and `stop`',
  CONTAINERS: "Docker with Compose: CONTAINERS='docker compose' make test",
  chromium: 'apt-get install chromium, or CHROMIUM_PATH=…',
  gixy: 'pip install gixy-next, and GIXY=… if it is not on the PATH',
  kubectl: "Kubernetes' command kubectl, 1.27 or later; no cluster is needed",
  'kubernetes-validate': 'pip install kubernetes-validate, and KUBERNETES_VALIDATE=… if it is not on the PATH',
  mounts: 'the right to mount (run as root, or allow user namespaces)',
  nginx: 'apt-get install nginx-light',
  priority: 'Linux, and a nice value below 19',
  promtool: 'apt-get install prometheus',
  root: 'run as root',
  schemathesis: 'pip install schemathesis, and SCHEMATHESIS=… if it is not on the PATH',
  script: 'apt-get install bsdutils',
  strace: 'apt-get install strace, and the right to trace',
  'systemd-analyze': 'apt-get install systemd',
};

type Counts = { passed: number; skipped: number; failed: number };

const args = process.argv.slice(2);
const isCovered = args.includes('--coverage');
const showsProgress = process.stdout.isTTY === true && !process.env.CI;
const startedAt = performance.now();
const folder = mkdtempSync(join(tmpdir(), 'hushbox-tests-'));
const needs = join(folder, 'needs');
if (isCovered) rmSync(COUNTED, { recursive: true, force: true });

/** Ctrl-C reaches it from the terminal; what is sent to this process alone is passed on. */
function run(file: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(process.execPath, [file, ...argv], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['inherit', showsProgress && file === AVA ? 'pipe' : 'inherit', 'inherit'],
  });
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  return child;
}

process.on('SIGINT', () => {}); // ava ends first, and says what it has

function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
}

/** Drops the lines of tests that passed or were skipped: one line that changes counts them. */
async function showProgress(child: ChildProcess): Promise<void> {
  if (!child.stdout) return;
  const counts: Counts = { passed: 0, skipped: 0, failed: 0 };
  for await (const line of createInterface({ input: child.stdout })) {
    const mark = /^ {2}(?<mark>✔|✘ \[fail\]|- \[(?:skip|todo)\])/.exec(line)?.groups?.mark;
    if (mark === '✔') counts.passed += 1;
    else if (mark?.startsWith('-')) counts.skipped += 1;
    else {
      if (mark) counts.failed += 1;
      process.stdout.write(`\r\x1b[K${line}\n`);
    }
    process.stdout.write(`\r\x1b[K${describe(counts)}, ${sinceStart()}`);
  }
  process.stdout.write('\r\x1b[K');
}

function describe({ passed, skipped, failed }: Counts): string {
  return `${passed} passed, ${skipped} skipped, ${failed} failed`;
}

function sinceStart(): string {
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** @returns how many tests were skipped for want of something. */
function saySkipped(): number {
  const lines = existsSync(needs) ? readFileSync(needs, 'utf8').trim().split('\n') : [];
  const counts = Map.groupBy(lines, (need) => need);
  if (lines.length > 0) process.stdout.write('\nSkipped, because something is missing on this machine:\n');
  for (const [need, { length }] of [...counts].sort(([, a], [, b]) => b.length - a.length)) {
    const how = HOW[need] ?? `apt-get install ${need}`;
    process.stdout.write(`  ${String(length).padStart(4)} ${length === 1 ? 'needs' : 'need'} ${need}: ${how}\n`);
  }
  return lines.length;
}

const ava = run(
  AVA,
  args.filter((arg) => arg !== '--coverage'),
  { TEST_NEEDS: needs, NODE_COMPILE_CACHE: COMPILED, ...(isCovered && { NODE_V8_COVERAGE: COUNTED }) },
);
const ended = endOf(ava);
await showProgress(ava);
let status = await ended;
const skipped = saySkipped();
rmSync(folder, { recursive: true, force: true });
process.stdout.write(`\nThe tests took ${sinceStart()}.\n`);
if (isCovered && status === 0) {
  // What only skipped tests run is not covered: the threshold is for a machine that has everything.
  status = await endOf(run(C8, ['report', ...(skipped > 0 ? ['--check-coverage=false'] : [])]));
  if (skipped > 0) process.stdout.write('The threshold of coverage is checked only where no test is skipped.\n');
}
process.exitCode = status;

import { spawnSync } from 'node:child_process';
import { enableCompileCache, flushCompileCache } from 'node:module';
import { join } from 'node:path';

// Compiles what the service and the commands for users start with ahead: for an image, where nothing can be written
// when it runs.
const ROOT = join(import.meta.dirname, '..');
/** What src/main.ts and src/setup/main.ts begin with, and what is loaded only when it is used. */
const PARTS = [
  'processes/primary/primary.ts',
  'processes/primary/preflight.ts',
  'processes/worker/worker-process.ts',
  'storage/mongo/open.ts',
  'storage/sqlite/open.ts',
  'setup/mongo.ts',
];

/** Commands for users, each loaded when it is used. */
const COMMANDS = ['run.ts', 'send.ts', 'open.ts', 'exec.ts', 'look.ts', 'request.ts'];

/** Entries of threads. */
const THREADS = ['hashing/thread.ts', 'storage/sqlite/thread.ts'];

const COMPILED = join(ROOT, 'node_modules/.cache/compiled'); // where scripts/preload.cjs looks

enableCompileCache(COMPILED);
for (const part of PARTS) await import(join(ROOT, 'src', part));
for (const command of COMMANDS) await import(join(ROOT, 'client/command', command));
// Outside of a thread these end at their first step, when they are compiled.
for (const part of THREADS) await import(join(ROOT, 'src', part)).catch(() => {});
flushCompileCache();
// The first files themselves, which workers load too: a program that refuses its configuration has compiled it.
const env = { PATH: process.env.PATH, NODE_COMPILE_CACHE: COMPILED, WORKERS: 'none' };
for (const args of [['src/main.ts'], ['client/command/main.ts', 'help']]) {
  spawnSync(process.execPath, args, { cwd: ROOT, env, stdio: 'ignore', timeout: 60_000 });
}

#!/usr/bin/env node
import * as loader from 'node:module';
import { isAbsolute, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { homeFolder } from './home.ts';

const { env, execPath, execArgv, argv } = process;
// Where these say so, Node prints the paths of requests, and so keys. It has read them by now, so this begins again. No
// Node for Windows can, nor the first releases of Node 22; a file of variables would only say the same once more.
if (env.NODE_DEBUG || env.NODE_DEBUG_NATIVE) {
  for (const name of ['NODE_DEBUG', 'NODE_DEBUG_NATIVE']) Reflect.deleteProperty(env, name);
  const canBegin = process.platform !== 'win32' && !execArgv.some((option) => option.startsWith('--env-file'));
  if (canBegin) process.execve?.(execPath, [execPath, ...execArgv, ...argv.slice(1)], env as Record<string, string>);
}
// Not in the shared temporary folder, nor in the present one, where others could plant code. A folder that cannot be
// written to is no failure, and in a checkout there is a cache by now: of two, the first one counts.
const home = homeFolder();
const wanted = process.platform === 'win32' ? env.LOCALAPPDATA : env.XDG_CACHE_HOME;
const caches = wanted && isAbsolute(wanted) ? wanted : home && join(home, '.cache');
// The first releases of Node 22 have none.
if (caches) (loader as Partial<typeof loader>).enableCompileCache?.(join(caches, 'hushbox'));
// Node 22 calls X25519 an experiment, on stderr, where scripts read the link to keep.
process.removeAllListeners('warning');

// Node ends when its threads have. One that compiles may wait for a garbage collection, which nobody makes any more, and
// the command hangs (nodejs/node#54918). After this one there is room. In a checkout, scripts/preload.cjs sees to it.
if (!process.listeners('exit').some(({ name }) => name === collectGarbage.name)) process.on('exit', collectGarbage);
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}

const { run } = await import('./run.ts');
const args = process.argv.slice(2);
// Arguments may hold a link: from now on, other users of this machine do not see them any more.
process.title = 'hushbox';
process.exitCode = await run(args, env);
await new Promise((resolve) => process.stderr.write('', resolve)); // it takes its time on Windows
// What is left open, such as a connection for the next request, is not waited for.
process.exit();

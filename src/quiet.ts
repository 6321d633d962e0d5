import cluster from 'node:cluster';

// The first import of every program. When the environment says so, dependencies and Node itself print what they work on:
// paths, keys, headers. So these variables are removed before anything reads them, and no process or thread that is
// started later gets them.

/** Of the package `debug`, and of MongoDB's driver. */
const OF_DEPENDENCIES = /^(DEBUG|DEBUG_.*|MONGODB_LOG_.*|MONGODB_CRYPT_DEBUG)$/i;
/** Node reads them once, before any code of ours runs. */
const OF_NODE = /^(NODE_DEBUG|NODE_DEBUG_NATIVE)$/;
/** Set when the program was begun again, which happens once. */
const AGAIN = 'HUSHBOX_AGAIN';

const names = Object.keys(process.env);
for (const name of names) {
  if (name === AGAIN || OF_DEPENDENCIES.test(name) || OF_NODE.test(name)) Reflect.deleteProperty(process.env, name);
}
// Workers are started by a process that has none of them.
if (cluster.isPrimary && process.platform !== 'win32' && names.some((name) => OF_NODE.test(name))) {
  if (!names.includes(AGAIN)) beginAgain();
}

/** Replaces the program in this process by itself. It keeps its process id, its parent and its streams. */
function beginAgain(): void {
  // The environment has what these files say already, and they could say it again.
  const options = process.execArgv.filter(
    (option, index, all) => !/^--env-file/.test(option) && !/^--env-file(-if-exists)?$/.test(all[index - 1] ?? ''),
  );
  const env = { ...process.env, [AGAIN]: '1' } as Record<string, string>;
  process.execve?.(process.execPath, [process.execPath, ...options, ...process.argv.slice(1)], env);
}

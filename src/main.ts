import cluster from 'node:cluster';
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Config } from './config.ts';

// Before anything else is loaded, and not in the shared temporary folder, where others could plant code.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url)));
// Workers obey the primary alone, and from their first moment on: a signal to the process group is not theirs.
if (cluster.isWorker) for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

const { readConfig } = await import('./config.ts');
const { createLog } = await import('./ops/log.ts');
const { MAKE_PID, WORKER_NUMBER } = await import('./ipc.ts');

function readConfigOrEnd(): Config {
  try {
    return readConfig(process.env);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(1);
  }
}

const config = readConfigOrEnd();
const log = createLog(config.LOG_LEVEL);
if (cluster.isPrimary) {
  const { runPrimary } = await import('./cluster.ts');
  const makePid = Number(process.env[MAKE_PID]) || undefined;
  await runPrimary(config, makePid, log);
} else {
  const { runWorkerProcess } = await import('./worker-process.ts');
  await runWorkerProcess(config, Number(process.env[WORKER_NUMBER]), log);
}

import cluster from 'node:cluster';
import { enableCompileCache } from 'node:module';
import { type Config, readConfig } from './config.ts';
import { WORKER_NUMBER } from './ipc.ts';
import { createLog } from './ops/log.ts';

enableCompileCache();

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
  await runPrimary(config, log);
} else {
  const { runWorkerProcess } = await import('./worker-process.ts');
  await runWorkerProcess(config, Number(process.env[WORKER_NUMBER]), log);
}

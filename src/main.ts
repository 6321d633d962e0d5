import './quiet.ts'; // before everything else
import '../scripts/preload.cjs';
import cluster from 'node:cluster';
import { fileURLToPath } from 'node:url';
import type { Config, Reading } from './config/config.ts';
import { isFromTerminal } from './processes/primary/signals.ts';

// For threads and workers too: without it each of them loads what strips types, 27 MiB.
process.env.NODE_COMPILE_CACHE = fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url));
// Workers obey the primary alone, from their first moment: they ignore signals to the process group.
if (cluster.isWorker) for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
// Until there are workers, the primary ends at once, and cleanly.
else {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(0));
  process.on('SIGHUP', () => isFromTerminal() && process.exit(0)); // otherwise there is nothing to replace yet
}

const { invalid, parseEnvironment } = await import('./config/config.ts');
const { createLog } = await import('./ops/log.ts');
const { INTERNAL_FIRST_NAME, WORKER_NUMBER } = await import('./processes/ipc.ts');

async function readConfigOrEnd(reading: Reading): Promise<Config> {
  const problems = cluster.isPrimary
    ? await (await import('./processes/primary/preflight.ts')).findProblems(reading)
    : reading.problems;
  if (problems.length === 0) return reading.values as Config;
  process.stderr.write(`${[invalid(problems).message, ...reading.warnings].join('\n')}\n`); // one may explain the other
  process.exit(1);
}

const reading = parseEnvironment(process.env);
const config = await readConfigOrEnd(reading);
const log = createLog(config.LOG_LEVEL);
if (cluster.isPrimary) {
  for (const warning of reading.warnings) log.warn(warning);
  const { runPrimary } = await import('./processes/primary/primary.ts');
  await runPrimary(config, log);
} else {
  const { runWorkerProcess } = await import('./processes/worker/worker-process.ts');
  const place = {
    number: Number(process.env[WORKER_NUMBER]),
    internalFirstName: process.env[INTERNAL_FIRST_NAME] ?? '',
  };
  await runWorkerProcess(config, place, log);
}

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Load } from './load.ts';
import { runClient, startService } from './service.ts';

/**
 * Shows where the time of slow answers goes, on a disk that syncs in 10 ms and at full load: `node bench/stalls.ts`. For
 * each answer of GET /health/live above 40 ms it prints how long the worker's main thread ran meanwhile, and how long it
 * was ready to run and waited for a core, as the kernel counts it (schedstat). Run it while something else is busy.
 */
const SLOW_MS = 40;
const SECONDS = 60;

const library = join(mkdtempSync(join(tmpdir(), 'hushbox-stalls-')), 'slow-sync.so');
const source = new URL('slow-sync.c', import.meta.url).pathname;
execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl']);
const service = await startService({ env: { LD_PRELOAD: library } });
const agent = new Agent({ keepAlive: true });

function readSchedule(): { ranMs: number; waitedMs: number } {
  const path = `/proc/${service.workerPid}/task/${service.workerPid}/schedstat`;
  const [ran, waited] = readFileSync(path, 'utf8').split(' ');
  return { ranMs: Number(ran) / 1e6, waitedMs: Number(waited) / 1e6 };
}

function ask(): void {
  const before = readSchedule();
  const askedAt = performance.now();
  get({ agent, host: '127.0.0.1', port: service.port, path: '/health/live' }, (answer) => {
    answer.resume().once('end', () => {
      const tookMs = performance.now() - askedAt;
      if (tookMs < SLOW_MS) return;
      const { ranMs, waitedMs } = readSchedule();
      const parts = [tookMs, ranMs - before.ranMs, waitedMs - before.waitedMs].map((ms) => `${Math.round(ms)} ms`);
      process.stdout.write(
        `an answer took ${parts[0]}: the worker ran ${parts[1]}, and waited ${parts[2]} for a core\n`,
      );
    });
  });
}

const load = { port: service.port, connections: 32, seconds: SECONDS, warmupSeconds: 2 } satisfies Load;
const loading = runClient('load.ts', load);
for (const endAt = performance.now() + SECONDS * 1_000; performance.now() < endAt; await sleep(10)) ask();
await loading;
agent.destroy();
await service.stop();

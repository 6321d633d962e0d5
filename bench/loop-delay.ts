import cluster from 'node:cluster';
import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * Preloaded into a service (`node --import`): every worker appends a line `{"at", "maxMs"}` to LOOP_DELAY_FILE twice a
 * second, the longest that its event loop was held since the last one. `at` is in ms since the epoch.
 */
const file = process.env.LOOP_DELAY_FILE;
if (file && cluster.isWorker) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  setInterval(() => {
    appendFileSync(file, `${JSON.stringify({ at: Date.now(), maxMs: delay.max / 1e6 })}\n`);
    delay.reset();
  }, 500).unref();
}

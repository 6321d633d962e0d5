import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const COLLECT_EVERY_BYTES = 4 * 1024 * 1024;

/** Takes note of bytes of a body that go through. */
export type Count = (bytes: number) => void;

/**
 * Has the buffers of bodies freed while they go through. They are not part of V8's heap, so V8 lets some 60 MiB of them
 * pile up before it looks, and then looks at the whole heap, which stops everything else for tens of milliseconds. The young
 * ones alone, where buffers that were sent are, take about one.
 */
export function createCollector(): Count {
  let collect: ((options: { type: 'minor' }) => void) | undefined;
  let uncollected = 0;
  return (bytes) => {
    uncollected += bytes;
    if (uncollected < COLLECT_EVERY_BYTES) return;
    uncollected = 0;
    collect ??= findCollector();
    collect({ type: 'minor' });
  };
}

/** There is none in a context that is older than the flag. */
function findCollector(): (options: { type: 'minor' }) => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc');
}

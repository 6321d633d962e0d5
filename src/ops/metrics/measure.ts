import { STATUS_CODES } from 'node:http';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { PULSE_MS, repeat } from '../../clock.ts';
import { ERRORS, type ErrorCode } from '../../errors.ts';
import type { Served } from '../../http/respond.ts';
import type { Meters } from './meters.ts';

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Counts an answered request. */
export function measureRequest(meters: Meters, { method, route, status, code, durationMs }: Served): void {
  const labels = [METHODS.has(method) ? method : 'other', route, status in STATUS_CODES ? status : 'other'];
  meters.count('hushbox_http_requests_total', labels.join(' '));
  if (code !== undefined) meters.count('hushbox_http_errors_total', `${route} ${code}`);
  meters.observe('hushbox_http_request_duration_seconds', route, durationMs / 1000);
}

/** Counts a request that was refused before its method and path were known. */
export function measureRefusal(meters: Meters, code: ErrorCode): void {
  meters.count('hushbox_http_requests_total', `other none ${ERRORS[code].status}`);
  meters.count('hushbox_http_errors_total', `none ${code}`);
}

type Verb = (...values: never[]) => Promise<unknown>;

/** Their verbs have names of their own; those of other stores are shown with the name of the store. */
const PLAIN_STORES = new Set(['secrets', 'events', 'fence', 'limits', 'sink']);

/** The same storage, with the time and the failures of each call of each store measured. */
export function measureStores<Stores extends object>(meters: Meters, storage: Stores): Stores {
  const parts = Object.entries(storage).map(([name, part]) => [
    name,
    typeof part === 'object' ? measureVerbs(meters, part as object, PLAIN_STORES.has(name) ? '' : `${name}.`) : part,
  ]);
  return Object.fromEntries(parts) as Stores;
}

/** The same verbs of a store, with the time and the failures of each call measured. */
function measureVerbs<Verbs extends object>(meters: Meters, verbs: Verbs, prefix: string): Verbs {
  const measure =
    (name: string, verb: Verb): Verb =>
    (...values) => {
      const startedAt = performance.now();
      const settle = (): void => {
        meters.observe('hushbox_storage_operation_duration_seconds', name, (performance.now() - startedAt) / 1000);
      };
      const outcome = verb(...values);
      outcome.then(settle, () => {
        settle();
        meters.count('hushbox_storage_errors_total', name);
      });
      return outcome;
    };
  const measured = Object.entries<Verb>(verbs as Record<string, Verb>).map(([name, verb]) => {
    const shown = prefix + name;
    meters.count('hushbox_storage_errors_total', shown, 0); // present from the start, because an alert compares with it
    return [name, measure(shown, verb)];
  });
  return Object.fromEntries(measured) as Verbs;
}

/** The measured delay includes this time, in which `monitorEventLoopDelay` sleeps. */
const RESOLUTION_MS = 10;
/** Below this share of a second's time, the loop is not measured in the next one: the measuring wakes it 100 times. */
const BUSY_SHARE = 0.05;

/**
 * Watches this process. The longest event loop delay of each second is observed, so that the result does not depend on how
 * often, or by how many clients, the metrics are read.
 */
export function measureProcess(meters: Meters, worker: string): void {
  meters.watch('hushbox_worker_cpu_seconds_total', '', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  meters.watch('hushbox_worker_resident_memory_bytes', worker, () => process.memoryUsage.rss());
  meters.watch('hushbox_worker_heap_used_bytes', worker, () => getHeapStatistics().used_heap_size);
  meters.watch('hushbox_event_loop_active_seconds_total', '', () => performance.eventLoopUtilization().active / 1000);
  const readDelay = createDelayReader();
  void repeat(PULSE_MS, () => meters.observe('hushbox_event_loop_delay_seconds', '', readDelay() / 1000));
}

/**
 * @returns a function that gives the longest delay of the event loop (ms) since its last call, and at most 1/20 of that
 * time where the loop had little to do: no delay is longer than all the time in which the loop was active.
 */
export function createDelayReader(): () => number {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  let before = performance.eventLoopUtilization();
  let isMeasuring = false;
  return () => {
    const now = performance.eventLoopUtilization();
    const { active, utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    const longest = isMeasuring ? Math.max(0, delay.max / 1e6 - RESOLUTION_MS) : active;
    isMeasuring = utilization > BUSY_SHARE;
    if (isMeasuring) delay.enable();
    else delay.disable();
    delay.reset();
    return longest;
  };
}

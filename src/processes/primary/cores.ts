import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** How many cores this program may use: affinity and, where a container sets one, its CPU quota. At least 1. */
export function countCores(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(readQuota())));
}

// libuv rounds a quota below one core up to the host's count in some versions: so the quota is read here too.
function readQuota(): number {
  try {
    const [quota, period] = readFileSync('/sys/fs/cgroup/cpu.max', 'utf8').split(' ');
    return quota === 'max' ? Number.POSITIVE_INFINITY : Number(quota) / Number(period);
  } catch {
    return Number.POSITIVE_INFINITY; // no cgroup v2 here
  }
}

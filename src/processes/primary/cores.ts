import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** How many cores this program may use: its affinity and, in a container, the CPU quota. At least 1. */
export function countCores(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(readQuota())));
}

// Some versions of libuv round a quota below one core up to the host's count, so the quota is read here too.
function readQuota(): number {
  try {
    const [quota, period] = readFileSync('/sys/fs/cgroup/cpu.max', 'utf8').split(' ');
    return quota === 'max' ? Number.POSITIVE_INFINITY : Number(quota) / Number(period);
  } catch {
    return Number.POSITIVE_INFINITY; // no cgroup v2 here
  }
}

import { readFileSync } from 'node:fs';

const INTERVAL_MS = 100;
const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
type Watched = keyof typeof NUMBERS;

/**
 * GNU make passes SIGTERM on to what it runs, but not SIGINT or SIGHUP: sent to make alone, it waits for us to end by
 * ourselves. What shows is that from then on it no longer catches that signal; a second one of its kind stays pending.
 * So its signal masks are watched (Linux only; elsewhere such a signal has to be sent to the process group), and its
 * death, which would leave us an orphan. A third signal of one kind does not show.
 * @param onSignal `at` is when it came, as `performance.now()` tells it, or a little sooner.
 */
export function watchMake(makePid: number, onSignal: (signal: Watched, at: number) => void): void {
  const seen: Record<Watched, number> = { SIGHUP: 0, SIGINT: 0, SIGTERM: 0 };
  let lastLookAt = performance.now();

  function look(): void {
    const since = lastLookAt;
    lastLookAt = performance.now();
    if (process.ppid !== makePid) {
      clearInterval(timer);
      onSignal('SIGTERM', since);
      return;
    }
    const masks = readMasks(makePid);
    if (!masks) return;
    for (const signal of Object.keys(NUMBERS) as Watched[]) {
      const received = countReceived(masks, NUMBERS[signal]);
      if (received <= seen[signal]) continue;
      seen[signal] = received;
      if (signal !== 'SIGTERM' || received > 1) onSignal(signal, since); // the first SIGTERM is passed on
    }
  }

  const timer = setInterval(look, INTERVAL_MS).unref();
  look();
}

type Masks = { caught: bigint; ignored: bigint; pending: bigint };

function countReceived({ caught, ignored, pending }: Masks, number: number): number {
  const bit = 1n << BigInt(number - 1);
  if ((caught | ignored) & bit) return 0;
  return pending & bit ? 2 : 1;
}

function readMasks(pid: number): Masks | undefined {
  const status = readStatus(pid);
  const [caught, ignored, pending] = ['SigCgt', 'SigIgn', 'ShdPnd'].map((name) => maskOf(status, name));
  if (caught === undefined || ignored === undefined || pending === undefined) return undefined;
  return { caught, ignored, pending };
}

function maskOf(status: string, name: string): bigint | undefined {
  const digits = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1];
  return digits === undefined ? undefined : BigInt(`0x${digits}`);
}

function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return ''; // it is gone, which the next look sees, or this is not Linux
  }
}

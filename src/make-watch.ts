import { readFileSync } from 'node:fs';

const WATCHED = ['SIGHUP', 'SIGINT'] as const;
const NUMBERS = { SIGHUP: 1, SIGINT: 2 } as const;
const INTERVAL_MS = 100;

/**
 * GNU make passes SIGTERM on to what it runs, but not SIGINT or SIGHUP: sent to make alone, it only waits for us to
 * end by ourselves. What shows is that it no longer catches that signal. So while make is our parent, its signal mask
 * is watched (Linux), and its death too, which would leave us an orphan.
 */
export function watchMake(onSignal: (signal: (typeof WATCHED)[number] | 'SIGTERM') => void): void {
  const make = process.ppid;
  if (readProc(make, 'comm')?.trim() !== 'make') return;
  const seen = new Set<string>();
  setInterval(() => {
    const caught = caughtSignals(make);
    if (process.ppid !== make || caught === undefined) {
      if (!seen.has('SIGTERM')) onSignal('SIGTERM');
      seen.add('SIGTERM');
      return;
    }
    for (const signal of WATCHED) {
      const isCaught = (caught >> BigInt(NUMBERS[signal] - 1)) & 1n;
      if (isCaught || seen.has(signal)) continue;
      seen.add(signal);
      if (wasCaught.has(signal)) onSignal(signal);
    }
  }, INTERVAL_MS).unref();
  const first = caughtSignals(make) ?? 0n;
  const wasCaught = new Set(WATCHED.filter((signal) => (first >> BigInt(NUMBERS[signal] - 1)) & 1n));
}

function caughtSignals(pid: number): bigint | undefined {
  const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readProc(pid, 'status') ?? '')?.[1];
  return mask === undefined ? undefined : BigInt(`0x${mask}`);
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined; // it is gone, or this is not Linux
  }
}

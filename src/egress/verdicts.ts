import { AppError } from '../errors.ts';
import type { Destination, Rules } from './destination.ts';
import { pickDialled } from './dial.ts';
import type { Names } from './names.ts';
import type { Vet } from './vet.ts';

/** How many addresses of one name are looked at. */
const MAX_ADDRESSES = 64;
const MAX_KEPT = 1_000;

/** The addresses of a destination that may be dialled, and the gates that a request to it goes through. */
export type Verdict = { addresses: readonly string[]; gates: readonly string[] };
export type Patience = { ms: number; signal: AbortSignal | undefined };

export type Verdicts = {
  /**
   * Looks the name up and vets its addresses.
   * @throws AppError as `Vet` and `Names`; UPSTREAM_TIMEOUT; or the signal's reason.
   */
  judge(destination: Destination, rules: Rules, patience: Patience): Promise<Verdict>;
  /** A verdict that was found a moment ago. */
  recall(destination: Destination, rules: Rules): Verdict | undefined;
};

/** @param keptMs a connection dials only vetted addresses, so a name that changes meanwhile gains nothing. */
export function createVerdicts({ lookUp }: Names, vet: Vet, keptMs: number): Verdicts {
  const kept = new Map<string, { verdict: Verdict; until: number }>();
  return {
    async judge(destination, rules, patience) {
      const found = await within(lookUp(destination.host), patience);
      // Each once: A and AAAA records can say the same, and through one gate nobody goes twice.
      const addresses = [...new Set(vet(destination, rules, found.slice(0, MAX_ADDRESSES)).map(String))];
      const { origin, port } = destination;
      const gates = [origin, ...pickDialled(addresses).map((address) => `${address} ${port}`)];
      const verdict = { addresses, gates };
      if (kept.size >= MAX_KEPT) kept.clear();
      kept.set(keyOf(destination, rules), { verdict, until: performance.now() + keptMs });
      return verdict;
    },
    recall(destination, rules) {
      const found = kept.get(keyOf(destination, rules));
      return found && found.until > performance.now() ? found.verdict : undefined;
    },
  };
}

function keyOf({ origin }: Destination, { anyPlainHttp }: Rules): string {
  return `${anyPlainHttp} ${origin}`;
}

/** @throws AppError UPSTREAM_TIMEOUT, or the signal's reason. */
async function within<Value>(promise: Promise<Value>, { ms, signal }: Patience): Promise<Value> {
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(new AppError('UPSTREAM_TIMEOUT')), ms);
  try {
    const any = signal ? AbortSignal.any([signal, end.signal]) : end.signal;
    const ended = new Promise<never>((_resolve, reject) => {
      any.addEventListener('abort', () => reject(any.reason), { once: true });
    });
    return await Promise.race([promise, ended]);
  } finally {
    clearTimeout(timer);
  }
}

import { watchMake } from './make-watch.ts';

/** The same order again within this time is the same order: make and the terminal both deliver it. */
const REPEAT_MS = 1_000;

export type Orders = {
  /** Answer what is under way, then end. */
  stop(): void;
  /** End now. */
  kill(): void;
  /** Replace the workers. */
  roll(): void;
};

/**
 * Turns signals into orders.
 * @param makePid the make that started us, where one did.
 */
export function obeySignals(orders: Orders, makePid: number | undefined): void {
  // A terminal that closes says so with SIGHUP: then nobody is left to serve.
  const isFromTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const lastAt = { stop: Number.NEGATIVE_INFINITY, roll: Number.NEGATIVE_INFINITY };
  let isStopping = false;

  function obey(signal: NodeJS.Signals, at: number): void {
    const order = signal === 'SIGHUP' && !isFromTerminal ? 'roll' : 'stop';
    if (at - lastAt[order] < REPEAT_MS) return;
    lastAt[order] = at;
    if (order === 'roll') orders.roll();
    else if (isStopping) orders.kill();
    else {
      isStopping = true;
      orders.stop();
    }
  }

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => obey(signal, performance.now()));
  }
  if (makePid !== undefined) watchMake(makePid, obey);
}

/** The same signal again within this time counts once: make and the terminal can both deliver it. */
const REPEAT_MS = 1_000;

export type Orders = {
  /** Answer the open requests, then end. */
  stop(): void;
  /** End now. */
  kill(): void;
  /** Replace the workers. */
  roll(): Promise<void>;
};

/** A terminal that closes sends SIGHUP, and nobody is left to serve. */
export function isFromTerminal(): boolean {
  return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
}

/** Turns signals into orders. SIGINT means SIGTERM. */
export function obeySignals(orders: Orders): void {
  const endsWithTerminal = isFromTerminal();
  const lastAt = { stop: Number.NEGATIVE_INFINITY, roll: Number.NEGATIVE_INFINITY };
  let isStopping = false;

  function onSignal(signal: NodeJS.Signals): void {
    const order = signal === 'SIGHUP' && !endsWithTerminal ? 'roll' : 'stop';
    const now = performance.now();
    if (now - lastAt[order] < REPEAT_MS) return;
    lastAt[order] = now;
    if (order === 'roll') void orders.roll();
    else if (isStopping) orders.kill();
    else {
      isStopping = true;
      orders.stop();
    }
  }

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const before = process.listeners(signal); // until now, main.ts ends the program at once
    // In this order: a signal that has arrived and is not handled yet would be lost with the last listener.
    process.on(signal, onSignal);
    for (const listener of before) process.off(signal, listener);
  }
}

import { constants } from 'node:os';
import { EXIT } from './failure.ts';
import { complain } from './terminal.ts';

const SIGNALS = (['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const).filter((signal) => signal in constants.signals);

/**
 * Finishes what must not end halfway: a secret that is being read is on its way, and is lost if nobody takes it. The first
 * signal is kept waiting, the next one ends the program.
 * @param work is told which signal came, as soon as it asks.
 */
export async function uninterrupted<T>(work: (interrupted: () => number | undefined) => Promise<T>): Promise<T> {
  let exit: number | undefined;
  const listeners = SIGNALS.map((signal) => {
    const onSignal = () => {
      if (exit !== undefined && signal !== 'SIGHUP') process.exit(EXIT.signal + constants.signals[signal]);
      exit ??= EXIT.signal + constants.signals[signal];
      complain('hushbox: a secret is being read and would be lost. The same signal again ends it all the same.');
    };
    process.on(signal, onSignal);
    return { signal, onSignal };
  });
  try {
    return await work(() => exit);
  } finally {
    for (const { signal, onSignal } of listeners) process.off(signal, onSignal);
  }
}

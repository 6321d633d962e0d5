import type { Log } from '../../ops/log.ts';
import type { DrainOrder } from '../ipc.ts';
import { drain, kill } from './children.ts';
import type { Workers } from './workers.ts';

/** The whole program ends within 10 s of SIGTERM. */
const STOP: DrainOrder = { type: 'drain', acceptMs: 7_500, deadlineMs: 8_500 };
const STOP_DEADLINE_MS = 9_400;
const KILL_WAIT_MS = 300;

/** The ways in which the program ends. */
export type Ending = {
  /** Answers the open requests, then ends. */
  stop(): void;
  /** Ends everything now, as a failure. */
  killAll(): void;
  /** The same, and says why. */
  giveUp(reason: string): void;
  /** Called whenever a worker has ended: the last one ends the program. */
  exitIfAlone(): void;
};

export function createEnding({ workers, log }: { workers: Workers; log: Log }): Ending {
  let exitCode = 0;

  function exitIfAlone(): void {
    if (workers.all.size === 0) process.exit(exitCode);
  }

  function killAll(): void {
    exitCode = 1;
    workers.stopAll(kill);
    exitIfAlone();
    setTimeout(() => process.exit(exitCode), KILL_WAIT_MS);
  }

  return {
    stop() {
      log.info('shutting down: finishing open requests');
      // One that does not listen to us yet has no listener either, because it needs us to bind its internal one.
      workers.stopAll((child) => (child.isUp ? drain(child, STOP) : kill(child)));
      exitIfAlone();
      setTimeout(() => {
        log.error('workers did not end in time: killed');
        killAll();
      }, STOP_DEADLINE_MS);
    },
    killAll,
    giveUp(reason) {
      process.stderr.write(`Hushbox cannot run: ${reason}\n`);
      killAll();
    },
    exitIfAlone,
  };
}

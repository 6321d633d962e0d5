import type { IncomingMessage } from 'node:http';

/** How much of large bodies is received in one round of the event loop. */
const ROUND_BYTES = 512 * 1024;
/** How many of those that wait go on in one round; each has read ahead by about 64 KiB. */
const ROUND_REQUESTS = ROUND_BYTES / 65_536;

/** Large bodies are received little by little, so that small requests come in between however many there are. */
export type Pace = {
  /** So many bytes of this body have just arrived. It is paused when it has to wait for a later round. */
  received(request: IncomingMessage, bytes: number): void;
};

export function createPace(): Pace {
  const waiting = new Set<IncomingMessage>();
  let left = ROUND_BYTES;
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      left = ROUND_BYTES;
      for (const request of [...waiting].slice(0, ROUND_REQUESTS)) {
        waiting.delete(request);
        request.resume();
      }
      if (waiting.size > 0) schedule();
    });
  }

  return {
    received(request, bytes) {
      left -= bytes;
      schedule();
      if (left > 0 && waiting.size === 0) return;
      request.pause();
      waiting.add(request);
    },
  };
}

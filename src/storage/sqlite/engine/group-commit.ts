import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { AppError } from '../../../errors.ts';
import type { StoreLimits } from '../../../secrets/store.ts';
import { OK } from './batch.ts';
import { type Call, decode, encode, type Value } from './codec.ts';

/** Beyond so many waiting calls, or bytes in them, new ones are refused: the disk does not keep up. */
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** A batch takes no further call beyond this: it is packed and unpacked whole, so that it is in memory several times. */
const MAX_BATCH_BYTES = 16 * 1024 * 1024;
/** How long the storage thread may take; by itself it gives up on a lock after 5 s. */
const PATIENCE: Patience = { answerMs: 15_000, lostMs: 60_000, endMs: 2_000 };
/** A commit slower than this is worth waiting a little for more company: see `pauseAfter`. */
const SLOW_COMMIT_MS = 4;
const MAX_PAUSE_MS = 2;
/** How long a busy loop may add to a batch before it is sent. */
const MAX_GATHER_MS = 1;

type Patience = {
  /** A batch that takes longer is answered as unknown. */
  answerMs: number;
  /** A batch that takes longer means that the thread, or its disk, will never answer. */
  lostMs: number;
  /** A thread that was told to end and takes longer is left to the end of the process. */
  endMs: number;
};
type Waiting = {
  call: Call;
  bytes: number;
  resolve: (values: readonly Value[]) => void;
  reject: (error: Error) => void;
};

export type GroupCommit = {
  /** Resolves once the call is committed and synced. @throws AppError STORAGE_UNAVAILABLE: not done, or unknown. */
  run(procedure: number, ...values: readonly Value[]): Promise<readonly Value[]>;
  /** @throws AppError STORAGE_UNAVAILABLE while it is known that nothing can be written. */
  check(): void;
  close(): Promise<void>;
};

/**
 * Starts the storage thread and sends it what is waiting, one batch at a time: while one is being synced the next one
 * gathers.
 * @param onLost called when the thread ends by itself or hangs for good; nothing can be stored from then on.
 * @param onCommit told how many calls a batch has.
 * @throws Error when the file cannot be opened.
 */
export async function openGroupCommit(
  path: string,
  limits: StoreLimits,
  onLost: (error: Error) => void,
  onCommit: (calls: number) => void = () => {},
  patience: Patience = PATIENCE,
): Promise<GroupCommit> {
  const thread = new Worker(new URL('../thread.ts', import.meta.url), { workerData: { path, limits } });
  await new Promise<void>((resolve, reject) => {
    thread.once('message', () => resolve());
    thread.once('error', reject);
  });
  thread.removeAllListeners('error');
  const ended = new Promise((resolve) => thread.once('exit', resolve));

  let waiting: Waiting[] = [];
  let waitingBytes = 0;
  let inFlight: Waiting[] = [];
  let sentAt = 0;
  let isScheduled = false;
  let deadline: NodeJS.Timeout | undefined;
  /** Why nothing can be written: until the thread answers again, or for good. */
  let stuck: Error | undefined;
  let lost: Error | undefined;
  let isClosing = false;

  function send(): void {
    isScheduled = false;
    if (inFlight.length > 0 || waiting.length === 0) return;
    inFlight = takeBatch();
    onCommit(inFlight.length);
    sentAt = performance.now();
    deadline = setTimeout(giveUp, patience.answerMs);
    thread.postMessage(encode(inFlight.map(({ call }) => call)));
  }

  /** The calls that waited longest: one, and as many more as fit. */
  function takeBatch(): Waiting[] {
    let count = 0;
    let bytes = 0;
    for (const call of waiting) {
      if (count > 0 && bytes + call.bytes > MAX_BATCH_BYTES) break;
      count += 1;
      bytes += call.bytes;
    }
    waitingBytes -= bytes;
    return waiting.splice(0, count);
  }

  function schedule(pauseMs: number): void {
    if (isScheduled || lost) return;
    isScheduled = true;
    if (pauseMs > 0) setTimeout(send, pauseMs);
    else setImmediate(gather, 0, performance.now());
  }

  /** Sends as soon as a turn of the loop brings no further call, for those to come share the sync; or after 1 ms. */
  function gather(before: number, since: number): void {
    const isGrowing = waiting.length > before;
    if (isGrowing && performance.now() - since < MAX_GATHER_MS) setImmediate(gather, waiting.length, since);
    else send();
  }

  function receive(message: Uint8Array): void {
    clearTimeout(deadline);
    const done = inFlight;
    inFlight = [];
    stuck = undefined;
    const results = decode(message);
    for (const [index, { resolve, reject }] of done.entries()) {
      const result = results[index] as Call;
      if (result.procedure === OK) resolve(result.values);
      else reject(errorOf(result.values));
    }
    schedule(pauseAfter(performance.now() - sentAt));
  }

  /** The thread hangs, or its disk does. It may still commit what is in flight: that is unknown, not undone. */
  function giveUp(): void {
    stuck = unavailable('the storage thread did not answer in time');
    for (const { reject } of [...inFlight, ...waiting]) reject(stuck);
    waiting = [];
    waitingBytes = 0;
    deadline = setTimeout(() => lose(new Error('the storage thread hangs')), patience.lostMs - patience.answerMs);
  }

  function lose(cause: Error): void {
    if (isClosing || lost) return;
    lost = unavailable('the storage thread is lost', cause);
    clearTimeout(deadline);
    for (const { reject } of [...inFlight, ...waiting]) reject(lost);
    onLost(cause);
  }

  thread.on('message', receive);
  thread.on('error', (error) => lose(error as Error));
  thread.on('exit', () => lose(new Error('the storage thread exited')));

  return {
    run(procedure, ...values) {
      const refusal = lost ?? stuck;
      if (refusal) return Promise.reject(refusal);
      if (waiting.length >= MAX_WAITING || waitingBytes >= MAX_WAITING_BYTES) {
        return Promise.reject(unavailable('too many writes are waiting'));
      }
      const bytes = bytesOf(values);
      waitingBytes += bytes;
      return new Promise((resolve, reject) => {
        waiting.push({ call: { procedure, values }, bytes, resolve, reject });
        if (inFlight.length === 0) schedule(0);
      });
    },
    check() {
      const refusal = lost ?? stuck;
      if (refusal) throw refusal;
    },
    async close() {
      while (!lost && !stuck && waiting.length + inFlight.length > 0) await sleep(1);
      isClosing = true;
      lost = unavailable('the storage is closed');
      clearTimeout(deadline);
      thread.postMessage('close');
      await Promise.race([ended, sleep(patience.endMs, undefined, { ref: false })]);
    },
  };
}

/**
 * Clients that were just answered send their next request only now. Committing at once would leave them to the batch
 * after the next and halve the rate; so after a slow commit we wait for 15 % of its time, at most 2 ms.
 */
function pauseAfter(commitMs: number): number {
  return commitMs > SLOW_COMMIT_MS ? Math.min(MAX_PAUSE_MS, commitMs * 0.15) : 0;
}

/** Of the buffers alone; the rest is small and counted in calls. */
function bytesOf(values: readonly Value[]): number {
  let bytes = 0;
  for (const value of values) if (value instanceof Uint8Array) bytes += value.byteLength;
  return bytes;
}

const RESULT_CODES_OF_A_BUG: ReadonlySet<number> = new Set([0, 1, 19, 20, 21, 25]);

function errorOf([code, message]: readonly Value[]): Error {
  const cause = new Error(`SQLite ${code}: ${Buffer.from(message as Uint8Array)}`);
  return RESULT_CODES_OF_A_BUG.has(code as number) ? cause : unavailable('SQLite could not write', cause);
}

function unavailable(reason: string, cause?: Error): AppError {
  return new AppError('STORAGE_UNAVAILABLE', { cause: new Error(reason, { cause }), retryAfterSeconds: 1 });
}

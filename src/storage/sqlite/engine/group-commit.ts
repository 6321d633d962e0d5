import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { AppError } from '../../../errors.ts';
import { OK } from './batch.ts';
import { decode, encode, type Message, sizeOf, type Value } from './codec.ts';
import type { Procedures } from './procedure.ts';

/** Above this many waiting calls, or bytes in them, new calls are refused: the disk does not keep up. */
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** The most bytes in a batch of several calls, because a batch is in memory several times while it is packed. */
const MAX_BATCH_BYTES = 16 * 1024 * 1024;
const HAND_OVER_BYTES = 65_536;
/** How long the storage thread may take; it gives up on a lock after 5 s. */
const PATIENCE: Patience = { answerMs: 15_000, lostMs: 60_000, endMs: 2_000 };
/** After a commit slower than this, a short pause brings more calls into the next batch: see `pauseAfter`. */
const SLOW_COMMIT_MS = 4;
const MAX_PAUSE_MS = 2;
/** How long a busy loop may add to a batch before it is sent. */
const MAX_GATHER_MS = 1;

type Patience = {
  /** A batch that takes longer has an unknown outcome. */
  answerMs: number;
  /** A batch that takes longer means that the thread, or its disk, will never answer. */
  lostMs: number;
  /** A thread that takes longer to close is left to the end of the process. */
  endMs: number;
};
type Waiting = {
  call: Message;
  bytes: number;
  resolve: (value: Value) => void;
  reject: (error: Error) => void;
};

/** The storage thread, as its callers see it; typed by its procedures. */
export type GroupCommit<Known extends Procedures> = {
  /** Resolves once the call is committed and synced. @throws AppError STORAGE_UNAVAILABLE: not done, or unknown. */
  run<Name extends keyof Known & string>(
    name: Name,
    ...values: Parameters<Known[Name]> & readonly Value[]
  ): Promise<ReturnType<Known[Name]>>;
};
export type OpenGroupCommit<Known extends Procedures> = GroupCommit<Known> & {
  /** @throws AppError STORAGE_UNAVAILABLE while it is known that nothing can be written. */
  check(): void;
  /** Refuses every call from now on. Those that wait already are still done, if they can be. */
  refuse(reason: string, cause: Error): void;
  close(): Promise<void>;
};

type Events = {
  /** The thread ended unasked or hangs for good; nothing can be stored from then on. */
  onLost(error: Error): void;
  /** A batch of this many calls is about to be sent. */
  onCommit?: ((calls: number) => void) | undefined;
  /** SQLite could not do a call: its error, with its result code. */
  onFailure?: ((error: Error) => void) | undefined;
};

/**
 * Starts the storage thread and sends it the waiting calls, one batch at a time: while one batch is synced the next one
 * gathers.
 * @param url the thread's file. Its first message is the list of its procedures' names, in order.
 * @param workerData for the thread.
 * @throws Error when the thread cannot start.
 */
export async function openGroupCommit<Known extends Procedures>(
  { url, workerData }: { url: URL; workerData: unknown },
  { onLost, onCommit, onFailure }: Events,
  patience: Patience = PATIENCE,
): Promise<OpenGroupCommit<Known>> {
  const { thread, names, ended } = await startThread(url, workerData);
  const queue = createQueue();
  const schedule = createSchedule(() => queue.length, send);
  let inFlight: Waiting[] = [];
  let sentAt = 0;
  let deadline: NodeJS.Timeout | undefined;
  /** Why nothing can be written: until the thread answers again, or for good. */
  let stuck: Error | undefined;
  let lost: Error | undefined;
  let refused: Error | undefined;
  let isClosing = false;

  function send(): void {
    if (inFlight.length > 0 || queue.length === 0) return;
    inFlight = queue.takeBatch();
    onCommit?.(inFlight.length);
    sentAt = performance.now();
    deadline = setTimeout(giveUp, patience.answerMs);
    const message = encode(inFlight.map(({ call }) => call));
    // A large one is handed over, because a copy would be in memory too; a small one is copied faster.
    thread.postMessage(message, message.length > HAND_OVER_BYTES ? [message.buffer] : []);
  }

  function receive(message: Uint8Array): void {
    clearTimeout(deadline);
    const done = inFlight;
    inFlight = [];
    stuck = undefined;
    for (const [index, result] of decode(message).entries()) settle(done[index] as Waiting, result, onFailure);
    if (!lost) schedule(pauseAfter(performance.now() - sentAt));
  }

  function rejectAll(error: Error): void {
    for (const { reject } of [...inFlight, ...queue.takeAll()]) reject(error);
  }

  /** The thread hangs, or its disk does. It may still commit the batch in flight: that outcome is unknown. */
  function giveUp(): void {
    stuck = unavailable('the storage thread did not answer in time');
    rejectAll(stuck);
    deadline = setTimeout(() => lose(new Error('the storage thread hangs')), patience.lostMs - patience.answerMs);
  }

  function lose(cause: Error): void {
    if (isClosing || lost) return;
    lost = unavailable('the storage thread is lost', cause);
    clearTimeout(deadline);
    rejectAll(lost);
    onLost(cause);
  }

  thread.on('message', receive);
  thread.on('error', (error) => lose(error as Error));
  thread.on('exit', () => lose(new Error('the storage thread exited')));

  return {
    async run(name, ...values) {
      const refusal = lost ?? refused ?? stuck ?? queue.refusal();
      if (refusal) throw unavailable('nothing can be written', refusal, true); // this call was not begun
      const call = callOf(names, name, values);
      const result = queue.add(call);
      if (inFlight.length === 0) schedule(0);
      return (await result) as ReturnType<Known[typeof name]>;
    },
    check() {
      const refusal = lost ?? refused ?? stuck;
      if (refusal) throw refusal;
    },
    refuse(reason, cause) {
      refused = unavailable(reason, cause);
    },
    async close() {
      while (!lost && !stuck && queue.length + inFlight.length > 0) await sleep(1);
      isClosing = true;
      lost = unavailable('the storage is closed');
      clearTimeout(deadline);
      thread.postMessage('close');
      await Promise.race([ended, sleep(patience.endMs, undefined, { ref: false })]);
    },
  };
}

type Thread = { thread: Worker; names: ReadonlyMap<string, number>; ended: Promise<unknown> };

async function startThread(url: URL, workerData: unknown): Promise<Thread> {
  const thread = new Worker(url, { workerData });
  const names = await new Promise<readonly string[]>((resolve, reject) => {
    thread.once('message', resolve);
    thread.once('error', reject);
  });
  thread.removeAllListeners('error');
  const ended = new Promise((resolve) => thread.once('exit', resolve));
  return { thread, names: new Map(names.map((name, head) => [name, head])), ended };
}

/** @throws TypeError for a name that the thread does not have; now, because the whole batch would fail later. */
function callOf(names: Thread['names'], name: string, value: readonly Value[]): Message {
  const head = names.get(name);
  if (head === undefined) throw new TypeError(`the storage thread has no procedure ${name}`);
  return { head, value };
}

/** The calls that are not sent yet. */
function createQueue() {
  let waiting: Waiting[] = [];
  let waitingBytes = 0;

  return {
    get length(): number {
      return waiting.length;
    },

    refusal(): Error | undefined {
      const isFull = waiting.length >= MAX_WAITING || waitingBytes >= MAX_WAITING_BYTES;
      return isFull ? unavailable('too many writes are waiting') : undefined;
    },

    /** @returns the call's result. @throws TypeError for a value that cannot be packed. */
    add(call: Message): Promise<Value> {
      const bytes = sizeOf(call.value);
      waitingBytes += bytes;
      return new Promise((resolve, reject) => waiting.push({ call, bytes, resolve, reject }));
    },

    /** The calls that have waited longest: one, and as many more as fit. */
    takeBatch(): Waiting[] {
      let count = 0;
      let bytes = 0;
      for (const call of waiting) {
        if (count > 0 && bytes + call.bytes > MAX_BATCH_BYTES) break;
        count += 1;
        bytes += call.bytes;
      }
      waitingBytes -= bytes;
      return waiting.splice(0, count);
    },

    takeAll(): Waiting[] {
      const all = waiting;
      waiting = [];
      waitingBytes = 0;
      return all;
    },
  };
}

/** @returns a function that calls `send` once, after a pause, or else as soon as the loop brings no further calls. */
function createSchedule(length: () => number, send: () => void): (pauseMs: number) => void {
  let isScheduled = false;

  function sendNow(): void {
    isScheduled = false;
    send();
  }

  /** Sends as soon as a turn of the loop brings no further call, because later calls share the sync; or after 1 ms. */
  function gather(before: number, since: number): void {
    const isGrowing = length() > before;
    if (isGrowing && performance.now() - since < MAX_GATHER_MS) setImmediate(gather, length(), since);
    else sendNow();
  }

  return (pauseMs) => {
    if (isScheduled) return;
    isScheduled = true;
    if (pauseMs > 0) setTimeout(sendNow, pauseMs);
    else setImmediate(gather, 0, performance.now());
  };
}

/**
 * Clients that were just answered send their next request only now. Committing at once would leave them to the batch
 * after the next and halve the rate; so after a slow commit we wait for 15 % of its time, at most 2 ms.
 */
function pauseAfter(commitMs: number): number {
  return commitMs > SLOW_COMMIT_MS ? Math.min(MAX_PAUSE_MS, commitMs * 0.15) : 0;
}

const RESULT_CODES_OF_A_BUG: ReadonlySet<number> = new Set([0, 1, 19, 20, 21, 25]);
/** SQLITE_BUSY, SQLITE_READONLY, SQLITE_FULL: the transaction was rolled back. */
const RESULT_CODES_OF_NO_WRITE: ReadonlySet<number> = new Set([5, 8, 13]);

function settle({ resolve, reject }: Waiting, { head, value }: Message, onFailure: Events['onFailure']): void {
  if (head === OK) {
    resolve(value);
    return;
  }
  const [errcode, message] = value as readonly [code: number, message: string];
  const cause = Object.assign(new Error(`SQLite ${errcode}: ${message}`), { errcode });
  onFailure?.(cause);
  const isNotWritten = RESULT_CODES_OF_NO_WRITE.has(errcode & 0xff);
  reject(RESULT_CODES_OF_A_BUG.has(errcode) ? cause : unavailable('SQLite could not write', cause, isNotWritten));
}

function unavailable(reason: string, cause?: Error, isNotWritten = false): AppError {
  const details = { cause: new Error(reason, { cause }), retryAfterSeconds: 1, isNotWritten };
  return new AppError('STORAGE_UNAVAILABLE', details);
}

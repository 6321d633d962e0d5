import { Worker } from 'node:worker_threads';
import type { Phrase } from './hash-queue.ts';

/** An idle thread ends after this time. */
const IDLE_MS = 60_000;

export type HashThreads = {
  /** argon2id of each phrase in turn, on an idle or a new thread. The caller bounds how many run at once. */
  hashAll(batch: readonly Phrase[]): Promise<Uint8Array[]>;
  close(): Promise<void>;
};

type Job = PromiseWithResolvers<Uint8Array[]>;
type HashThread = { worker: Worker; job: Job | undefined };

/** Threads for hashing, started when first needed. */
export function createHashThreads(): HashThreads {
  const idle: HashThread[] = [];
  const all = new Set<HashThread>();
  let reaper: NodeJS.Timeout | undefined;

  function start(): HashThread {
    const thread: HashThread = { worker: new Worker(new URL('./thread.ts', import.meta.url)), job: undefined };
    let cause: unknown;
    all.add(thread);
    thread.worker.on('message', (keys: Uint8Array[]) => {
      const { job } = thread;
      thread.job = undefined;
      park(thread);
      job?.resolve(keys);
    });
    thread.worker.on('error', (error) => {
      cause = error;
    });
    thread.worker.on('exit', () => {
      all.delete(thread);
      if (idle.includes(thread)) idle.splice(idle.indexOf(thread), 1);
      thread.job?.reject(new Error('a hashing thread ended', { cause }));
    });
    return thread;
  }

  function park(thread: HashThread): void {
    thread.worker.unref();
    idle.push(thread);
    reaper ??= setTimeout(reap, IDLE_MS).unref();
  }

  function reap(): void {
    reaper = undefined;
    for (const { worker } of idle.splice(0)) void worker.terminate();
  }

  return {
    hashAll(batch) {
      const thread = idle.pop() ?? start();
      reaper?.refresh();
      thread.worker.ref();
      thread.job = Promise.withResolvers();
      // Copied, because a slice of Node's pool would be sent with the whole pool.
      thread.worker.postMessage(
        batch.map(({ phrase, salt, cost }) => ({
          phrase: Uint8Array.from(phrase),
          salt: Uint8Array.from(salt),
          cost,
        })),
      );
      return thread.job.promise;
    },
    async close() {
      clearTimeout(reaper);
      // A thread that is terminated in the middle of a hash may still send a message that is not a hash.
      await Promise.allSettled([...all].map(({ job }) => job?.promise));
      await Promise.all([...all].map(({ worker }) => worker.terminate()));
    },
  };
}

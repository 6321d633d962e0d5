import { Worker } from 'node:worker_threads';

/** An idle thread is given back after this long. */
const IDLE_MS = 60_000;

export type HashThreads = {
  /** argon2id on a thread of its own; starts one where none is idle. Callers bound how many run at once. */
  hash(phrase: Uint8Array, salt: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
};

/** Threads for hashing, made when first needed. */
export function createHashThreads(): HashThreads {
  const idle: Worker[] = [];
  const all = new Set<Worker>();
  let reaper: NodeJS.Timeout | undefined;

  function start(): Worker {
    const thread = new Worker(new URL('./thread.ts', import.meta.url));
    all.add(thread);
    thread.once('exit', () => {
      all.delete(thread);
      const index = idle.indexOf(thread);
      if (index >= 0) idle.splice(index, 1);
    });
    return thread;
  }

  function release(thread: Worker): void {
    thread.unref();
    idle.push(thread);
    reaper ??= setTimeout(reap, IDLE_MS).unref();
  }

  function reap(): void {
    reaper = undefined;
    for (const thread of idle.splice(0)) void thread.terminate();
  }

  return {
    async hash(phrase, salt) {
      const thread = idle.pop() ?? start();
      thread.ref();
      reaper?.refresh();
      const key = await new Promise<Uint8Array>((resolve, reject) => {
        const done = (error?: unknown, result?: Uint8Array): void => {
          thread.removeAllListeners('message').removeAllListeners('error');
          thread.off('exit', fail);
          if (result) resolve(result);
          else reject(error);
        };
        const fail = (): void => done(new Error('a hashing thread ended'));
        thread.once('message', (result: Uint8Array) => done(undefined, result));
        thread.once('error', done);
        thread.once('exit', fail);
        thread.postMessage({ phrase: Uint8Array.from(phrase), salt: Uint8Array.from(salt) });
      });
      release(thread);
      return key;
    },
    async close() {
      clearTimeout(reaper);
      await Promise.all([...all].map((thread) => thread.terminate()));
    },
  };
}

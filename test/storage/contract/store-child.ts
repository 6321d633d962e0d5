import { AppError } from '../../../src/errors.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { configOf } from '../../support/storage/storage-config.ts';
import type { Answer, Call } from './store-process.ts';

// A process of its own that opens the store at the URL it is given, and runs what it is told: see store-process.ts.
const [url = '', limits = '{}'] = process.argv.slice(2);
const config = configOf(url, JSON.parse(limits));
const storage = await openStorage(config, { onLost: fail, onWarning: () => {} });

process.on('message', async ({ number, store, verb, values }: Call) => {
  try {
    const verbs = storage[store] as unknown as Record<string, (...values: unknown[]) => Promise<unknown>>;
    answer({ number, result: await verbs[verb]?.(...values) });
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    answer({ number, failure: { code: error.code, retryAfterSeconds: error.retryAfterSeconds } });
  }
});
process.on('disconnect', storage.close);
process.send?.('open');

function answer(message: Answer): void {
  if (process.connected) process.send?.(message);
}

function fail(error: Error): never {
  throw error;
}

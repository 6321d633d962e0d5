import { enableCompileCache, flushCompileCache } from 'node:module';
import { join } from 'node:path';

// Compiles what the service starts with ahead: for an image, where nothing can be written when it runs.
const ROOT = join(import.meta.dirname, '..');
/** What src/main.ts and src/setup/main.ts begin with, and what is loaded only when it is used. */
const PARTS = [
  'processes/primary/primary.ts',
  'processes/primary/preflight.ts',
  'processes/worker/worker-process.ts',
  'storage/mongo/open.ts',
  'setup/mongo.ts',
];

enableCompileCache(join(ROOT, 'node_modules/.cache/compiled')); // where src/main.ts looks
for (const part of PARTS) await import(join(ROOT, 'src', part));
flushCompileCache();

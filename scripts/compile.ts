import { globSync } from 'node:fs';
import { enableCompileCache, flushCompileCache } from 'node:module';
import { join } from 'node:path';

// Compiles the program ahead: for an image, where nothing can be written when it runs. Loading a module does nothing but
// that, except for those which are the beginning of a process or a thread.
const ROOT = join(import.meta.dirname, '..');
const BEGINNINGS = ['**/main.ts', '**/thread.ts', '**/inspector.ts', 'web/page/**'];

enableCompileCache(join(ROOT, 'node_modules/.cache/compiled')); // where src/main.ts looks
for (const path of globSync('**/*.ts', { cwd: join(ROOT, 'src'), exclude: BEGINNINGS })) {
  await import(join(ROOT, 'src', path));
}
flushCompileCache();

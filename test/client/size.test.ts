import { gzipSync } from 'node:zlib';
import test from 'ava';
import { build } from 'esbuild';

const MAX_BYTES = 5 * 1024;

test('the client is at most 5 KB, minified and compressed', async (t) => {
  const options = { bundle: true, minify: true, format: 'esm', target: 'es2022', write: false } as const;
  const { outputFiles } = await build({ entryPoints: ['client/hushbox.ts'], ...options });
  const bytes = gzipSync(outputFiles[0]?.contents ?? '', { level: 9 }).length;
  t.log(`${bytes} bytes`);
  t.true(bytes <= MAX_BYTES, `${bytes} bytes`);
  t.true(bytes > 4000, 'nothing was lost by measuring');
});

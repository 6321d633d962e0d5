import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import { minify } from 'terser';

const MAX_BYTES = 5 * 1024;

test('the client is at most 5 KB, minified and compressed', async (t) => {
  const modules = ['sealing', 'wire', 'hushbox'].map((name) => readFileSync(`client/${name}.ts`, 'utf8'));
  // One module of them, as a bundler makes it.
  const joined = modules
    .map((text) => stripTypeScriptTypes(text).replaceAll(/^import [\s\S]*?;$/gm, ''))
    .map((code, at) => (at < modules.length - 1 ? code.replaceAll(/^export /gm, '') : code))
    .join('\n');
  const { code = '' } = await minify(joined, { module: true, compress: { passes: 2 } });
  const bytes = gzipSync(code, { level: 9 }).length;
  t.log(`${bytes} bytes`);
  t.true(bytes <= MAX_BYTES, `${bytes} bytes`);
  t.true(bytes > 4000, 'nothing was lost by measuring');
});

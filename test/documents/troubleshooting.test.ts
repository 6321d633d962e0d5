import { globSync, readFileSync } from 'node:fs';
import test from 'ava';
import { ERRORS, PROXY_CODES } from '../../src/errors.ts';

const DOCUMENT = readFileSync('docs/troubleshooting.md', 'utf8');

test('docs/troubleshooting.md explains every error code once, with its status', (t) => {
  const rows = [...DOCUMENT.matchAll(/^\| `([A-Z_]+)` \| (\d{3}) \| .{20}/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ]);
  const codes = [
    ...Object.entries(ERRORS).map(([code, { status }]) => [code, status] as const),
    ...Object.entries(PROXY_CODES),
  ];
  t.deepEqual(rows.map(String).sort(), codes.map(String).sort());
});

test('the messages of the start that it explains are those of the program', (t) => {
  const [, table = ''] = /^## Messages at the start$(.*?)^## /ms.exec(DOCUMENT) ?? [];
  const messages = [...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, message = '']) => message);
  t.true(messages.length > 10);
  const program = globSync(['src/**/*.ts', 'scripts/*']).map((path) => readFileSync(path, 'utf8'));
  t.deepEqual(
    messages.filter((message) => !program.some((text) => text.includes(message))),
    [],
  );
});

import { readFileSync } from 'node:fs';
import test from 'ava';
import { startAuth } from '../auth/sessions/support.ts';
import { testWith } from '../support/process/tools.ts';
import { SQLITE } from '../support/storage/storage.ts';
import { examplesOf, formOf, paste } from './shell.ts';

const DOCUMENT = readFileSync('docs/api.md', 'utf8');
const OPENAPI = JSON.parse(readFileSync('docs/openapi.json', 'utf8'));

const withCurl = testWith('curl', 'openssl');

for (const [path, least] of [
  ['docs/api.md', 20],
  ['docs/tutorial.md', 6],
] as const) {
  withCurl(`the commands of ${path}, pasted in a row, answer what it shows`, async (t) => {
    const clock = { now: Date.now(), advance: () => {} };
    const { base, accounts } = await startAuth(t, SQLITE, { JWT_HEX_SECRET: '5a'.repeat(64) }, { clock });
    await accounts.create({ email: 'demo@example.com', password: 'demo-password', role: 'member' });
    const examples = examplesOf(readFileSync(path, 'utf8'));
    t.true(examples.length >= least);
    const printed = await paste(examples, base);
    t.is(printed.length, examples.length);
    for (const [index, { commands, answer = '' }] of examples.entries()) {
      t.is(formOf(printed[index] ?? ''), formOf(answer), commands);
    }
  });
}

type Operation = { summary?: string; responses: Record<string, { content?: Record<string, unknown> }> };

/** What only shows a page is listed by its path. */
function isPage({ responses }: Operation): boolean {
  return Object.keys(responses['200']?.content ?? {}).join() === 'text/html';
}

test('docs/api.md leaves out no method of the OpenAPI document', (t) => {
  const missing = Object.entries<Record<string, Operation>>(OPENAPI.paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([, operation]) => operation.summary)
      .map(([method, operation]) => ({ operation, path: path.replace('{key}', 'KEY').replace('{id}', 'ID'), method }))
      .filter(({ operation, path, method }) => {
        const named = `${method.toUpperCase()} ${path}`;
        const isListed = DOCUMENT.includes(`\n### ${named}\n`) || DOCUMENT.includes(`\n| \`${named}\` |`);
        return !(isListed || (isPage(operation) && DOCUMENT.includes(`\`${path}\``)));
      })
      .map(({ path, method }) => `${method} ${path}`),
  );
  t.deepEqual(missing, []);
});

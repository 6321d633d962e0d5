import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { randomBytes } from '../../src/sealing/random.ts';
import { createTokenKey } from '../../src/tokens/calls/key.ts';
import { createCallClaims, signToken } from '../../src/tokens/calls/sign.ts';
import { testWith } from '../support/process/tools.ts';
import { KEY_BYTES } from './support.ts';

const DOCUMENT = readFileSync('docs/proxy.md', 'utf8');
const OTHER = Buffer.alloc(64, 0x6c);

for (const [language, command] of [
  ['python', ['python3', '-']],
  ['js', [process.execPath, '--input-type=module', '-']],
] as const) {
  const [file, ...args] = command;
  const run = testWith(file);
  run(`docs/proxy.md verifies tokens in ${language} as it says`, (t) => {
    const code = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'ms').exec(DOCUMENT)?.[1] ?? '';
    const token = (ageMs: number): string => {
      const claimsOf = createCallClaims({ clock: () => Date.now() - ageMs, randomBytes });
      return signToken(createTokenKey(KEY_BYTES), claimsOf('username'));
    };
    const verify = (text: string, key: Buffer): string =>
      execFileSync(file, [...args, text, key.toString('hex')], { input: code, encoding: 'utf8', stdio: 'pipe' });
    t.regex(verify(token(0), KEY_BYTES), /username/);
    t.throws(() => verify(token(0), OTHER));
    t.throws(() => verify(token(600_000), KEY_BYTES));
  });
}

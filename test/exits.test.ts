import { execFile } from 'node:child_process';
import test from 'ava';

// Node 24.21 hung at its end in three of ten `hushbox send --copies 30` on a busy machine: the main thread waited for one
// that compiled, and that one for a garbage collection.
for (const [what, ...args] of [
  ['the service', 'src/main.ts'],
  ['a command of operators', 'src/cli/main.ts', '--version'],
  ['a command of users', 'client/command/main.ts', 'completion', 'bash'],
  ['the same in a checkout', '--require=./scripts/preload.cjs', 'client/command/main.ts', 'completion', 'bash'],
] as const) {
  test(`${what} collects garbage last, for a thread that may wait for it, and once`, async (t) => {
    const env = { PATH: process.env.PATH, MASTER_KEY: 'not valid' };
    const printed = await new Promise<string>((resolve) => {
      execFile(process.execPath, ['--trace-gc', ...args], { env }, (_, stdout) => resolve(stdout));
    });
    const asked = printed.split('\n').filter((line) => /: Mark-Compact .* testing; .* requested$/.test(line));
    t.is(asked.length, 1);
    t.is(printed.trimEnd().split('\n').at(-1), asked[0]);
  });
}

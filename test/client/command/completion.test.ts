import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { COMMANDS, parseArguments, parseLifetime } from '../../../client/command/arguments.ts';
import { completionFor } from '../../../client/command/completion.ts';
import { HELP, LIST, USAGE } from '../../../client/command/help.ts';
import { testWith } from '../../support/process/tools.ts';
import { temporaryFolder } from '../../support/storage/storage.ts';

/** What bash offers for a line that ends where the cursor is. */
function offeredByBash(...words: string[]): string[] {
  const line = words.map((word) => `'${word}'`).join(' ');
  const script = `${completionFor('bash')}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _hushbox; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stdout.trim().split('\n');
}

test('bash completes commands, options, shells and files', (t) => {
  t.deepEqual(offeredByBash('hushbox', 're'), ['receipt', 'request']);
  t.deepEqual(offeredByBash('hushbox', 'send', '--r'), ['--receipt']);
  t.deepEqual(offeredByBash('hushbox', 'completion', 'z'), ['zsh']);
  t.deepEqual(offeredByBash('hushbox', 'send', 'LICEN'), ['LICENSE']);
  t.deepEqual(offeredByBash('hushbox', 'open', '--out', 'clie'), ['client']);
  t.true(offeredByBash('hushbox', 'help', '').includes('exec'));
});

for (const shell of ['zsh', 'fish']) {
  testWith(shell)(`${shell} reads its completion`, async (t) => {
    const file = join(await temporaryFolder(t), 'completion');
    writeFileSync(file, completionFor(shell));
    const { status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
    t.is(status, 0, stderr);
  });
}

test('every shell is offered every command and option', (t) => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const script = completionFor(shell);
    for (const [name, options] of Object.entries(COMMANDS)) {
      t.true(script.includes(name));
      for (const option of options) t.true(script.includes(shell === 'fish' ? `-l ${option}` : `--${option}`));
    }
  }
});

test('every command is in the list, in bin/hushbox, and has help that names its options', (t) => {
  const launcher = readFileSync('bin/hushbox', 'utf8');
  t.deepEqual(/^ {2}([a-z |]+)\) main=client/m.exec(launcher)?.[1]?.split(' | ').sort(), Object.keys(HELP).sort());
  t.true(USAGE.includes(LIST));
  for (const [name, help] of Object.entries(HELP)) {
    t.regex(LIST, new RegExp(`^  ${name}\\b`, 'm'));
    t.regex(help, /^Examples?:\n.*hushbox /m);
    for (const line of `${USAGE}${help}`.split('\n')) t.true(line.length <= 120, line);
  }
  for (const [name, options] of Object.entries(COMMANDS)) {
    const help = HELP[name as keyof typeof COMMANDS];
    for (const option of [...options, 'json', 'insecure']) t.regex(help, new RegExp(`^  --${option}\\b`, 'm'), name);
  }
});

test('lifetimes are days, hours and minutes', (t) => {
  t.deepEqual(parseLifetime('3d4h5m'), { days: 3, hours: 4, minutes: 5 });
  t.deepEqual(parseLifetime('90m'), { days: 0, hours: 0, minutes: 90 });
  t.is(parseLifetime(undefined), undefined);
  for (const wrong of ['', '0m', '5', 'm', '4h3d', '-1d', '1.5h', '1d 2h', '1D', '9999999d'])
    t.throws(() => parseLifetime(wrong), undefined, wrong);
});

test('what follows -- of exec is not ours', (t) => {
  const { options, operands, command } = parseArguments('exec', ['--env', 'A', '--', 'x', '--env', '--', '-y']);
  t.deepEqual([options.env, operands, command], [['A'], [], ['x', '--env', '--', '-y']]);
});

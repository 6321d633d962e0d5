import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from '../../support/http/server.ts';
import { type RunOptions, runCommand } from '../../support/process/command.ts';
import { ENGINES, temporaryFolder } from '../../support/storage/storage.ts';

for (const { name, test, place } of ENGINES) {
  test(`every command works with ${name}`, async (t) => {
    const { base } = await startServer(t, { place: await place(t) });
    const cwd = await temporaryFolder(t);
    const phrase = join(cwd, 'phrase');
    writeFileSync(phrase, 'the phrase');
    writeFileSync(join(cwd, 'a.bin'), Buffer.from([0, 255, 10]));
    const run = (args: readonly string[], { stdin = '', env = {} }: RunOptions = {}) =>
      runCommand(args, { stdin, cwd, env: { HUSHBOX_URL: base, HUSHBOX_PHRASE_FILE: phrase, ...env } });

    const { stdout: link } = await run(['send', 'a.bin', '-', '--phrase'], { stdin: 'with text\n' });
    t.regex((await run(['look', '-'], { stdin: link })).stdout, /needs a phrase/);
    t.like(await run(['open', '-', '--out', cwd], { stdin: link }), { code: 0, stdout: 'with text' });
    t.deepEqual(readFileSync(join(cwd, 'a (2).bin')), Buffer.from([0, 255, 10]));
    t.is((await run(['open', '-'], { stdin: link })).code, 3);

    const env = { PASSWORD: (await run(['send'], { stdin: 'hunter2' })).stdout.trim() };
    const script = ['--', 'sh', '-c', 'echo "$PASSWORD"'];
    t.like(await run(['exec', '--env', 'PASSWORD', ...script], { env }), { code: 0, stdout: 'hunter2\n' });
    t.is((await run(['exec', '--env', 'PASSWORD', ...script], { env })).code, 3);

    const { stdout: asked, stderr: keep } = await run(['request', '--note', 'a key']);
    t.is((await run(['open', '-'], { stdin: keep })).code, 6);
    t.is((await run(['answer', asked.trim()], { stdin: 'the answer' })).code, 0);
    t.is((await run(['answer', asked.trim()], { stdin: 'too late' })).code, 3);
    t.like(await run(['open', '-'], { stdin: keep }), { code: 0, stdout: 'the answer' });

    const { stdout: burnt, stderr: receipt } = await run(['send', '--receipt'], { stdin: 'x' });
    t.is((await run(['burn', '-'], { stdin: receipt })).code, 0);
    t.regex((await run(['receipt', '-'], { stdin: receipt })).stdout, /^burned since /);
    t.is((await run(['open', '-'], { stdin: burnt })).code, 3);
  });
}

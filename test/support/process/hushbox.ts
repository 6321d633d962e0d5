import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expectNoLeaks } from './leaks.ts';

const HUSHBOX = fileURLToPath(new URL('../../../bin/hushbox', import.meta.url));
/** Generous: the machine may be busy with other tests. */
const PATIENCE_MS = 60_000;

export type Output = { code: number | null; stdout: string; stderr: string };

/** Runs the operator's command as a shell does. What it prints is searched for everything secret. */
export async function hushbox(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  stdin = '',
): Promise<Output> {
  const { NODE_V8_COVERAGE, PATH = '' } = process.env;
  const child = spawn(HUSHBOX, args, {
    env: {
      PATH: `${dirname(process.execPath)}:${PATH}`,
      ...(NODE_V8_COVERAGE !== undefined && { NODE_V8_COVERAGE }),
      ...env,
    },
    timeout: PATIENCE_MS,
    killSignal: 'SIGKILL',
  });
  child.stdin.on('error', () => {}).end(stdin); // not every command reads it
  const exit = once(child, 'close');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exit;
  expectNoLeaks(stdout + stderr);
  return { code, stdout, stderr };
}

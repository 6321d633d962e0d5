import { execFileSync, spawnSync } from 'node:child_process';
import type { TestFn } from 'ava';
import { testIf } from './needs.ts';

/** `test`, or a visible skip where one of these programs is missing. */
export function testWith(...programs: readonly string[]): TestFn {
  const missing = programs.find((program) => !isThere(program));
  return testIf(missing === undefined, missing ?? '');
}

/** For tests that look at system calls: in some containers strace is there and not allowed to. */
export const withStrace = testIf(
  spawnSync('strace', ['-e', 'trace=none', 'true'], { stdio: 'ignore' }).status === 0,
  'strace',
);

/** For tests with a file system of their own. */
export const withMounts = testIf(
  spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' }).status === 0,
  'mounts',
);

export const asRoot = testIf(process.getuid?.() === 0, 'root');

function isThere(program: string): boolean {
  try {
    execFileSync(program, ['--help'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

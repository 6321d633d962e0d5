import { execFileSync } from 'node:child_process';
import test, { type TestFn } from 'ava';

/** `test`, or a visible skip where one of these programs is missing. */
export function testWith(...programs: readonly string[]): TestFn {
  return (programs.every(isThere) ? test : test.skip) as TestFn;
}

function isThere(program: string): boolean {
  try {
    execFileSync(program, ['--help'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

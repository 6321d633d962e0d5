import { appendFileSync } from 'node:fs';
import test, { type TestFn } from 'ava';

/** Where `make test` reads what was missing, a line for each skipped test. */
const { TEST_NEEDS } = process.env;

/**
 * `test`, or a visible skip that notes what is missing.
 * @param needs one of those that scripts/run-tests.ts explains, or a word for it.
 */
export function testIf(isThere: boolean, needs: string): TestFn {
  if (isThere) return test;
  const noted =
    (skip: (...args: never[]) => void) =>
    (...args: unknown[]): void => {
      if (TEST_NEEDS) appendFileSync(TEST_NEEDS, `${needs}\n`);
      skip(...(args as never[]));
    };
  return Object.assign(noted(test.skip), { serial: noted(test.serial.skip) }) as unknown as TestFn;
}

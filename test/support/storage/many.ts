/** Fewer than MongoDB has connections for us: a call that waits 2 s for one of them fails. */
const AT_ONCE = 31;

/** Runs all of them, and at most as many at once as a busy machine answers in time. */
export async function many<T>(count: number, run: (index: number) => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  while (all.length < count) {
    const first = all.length;
    const length = Math.min(AT_ONCE, count - first);
    all.push(...(await Promise.all(Array.from({ length }, (_, n) => run(first + n)))));
  }
  return all;
}

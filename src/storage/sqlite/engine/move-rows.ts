import type { DatabaseSync } from 'node:sqlite';

const AT_ONCE = 16;

/**
 * Moves all rows into another table, some at a time: the pages of those that have left take those that follow. Copied at
 * once, the file would double, and the transaction would write each page twice: the copy, and the zeros in its place.
 * @param columns by name, in both tables; the first one is the key of both.
 */
export function moveRows(
  database: DatabaseSync,
  from: string,
  to: string,
  columns: readonly [string, ...string[]],
): void {
  const [key] = columns;
  const names = columns.join(', ');
  const first = `FROM ${from} ORDER BY ${key} LIMIT ${AT_ONCE}`;
  const findLast = database.prepare(`SELECT max(${key}) AS last FROM (SELECT ${key} ${first})`);
  const copy = database.prepare(`INSERT INTO ${to} (${names}) SELECT ${names} ${first}`);
  const remove = database.prepare(`DELETE FROM ${from} WHERE ${key} <= ?`);
  for (let last = findLast.get()?.last; last; last = findLast.get()?.last) {
    copy.run();
    remove.run(last);
  }
}

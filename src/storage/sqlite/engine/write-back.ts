/**
 * Rows that a transaction reads when first asked for, keeps in memory, and writes once before its commit, so that a
 * whole batch pays for each of them once.
 */
export type WriteBack<Row> = {
  get(key: Uint8Array): Row;
  set(key: Uint8Array, row: Row): void;
  /** At the start of each transaction: others may have written, and the last one may have been rolled back. */
  forget(): void;
  /** At the end of each transaction. */
  save(): void;
};

export function createWriteBack<Row>(
  read: (key: Uint8Array) => Row,
  write: (key: Uint8Array, row: Row) => void,
): WriteBack<Row> {
  const rows = new Map<string, Row>();
  const changed = new Set<string>();

  return {
    get(key) {
      const name = nameOf(key);
      let row = rows.get(name);
      if (row === undefined) {
        row = read(key);
        rows.set(name, row);
      }
      return row;
    },
    set(key, row) {
      const name = nameOf(key);
      rows.set(name, row);
      changed.add(name);
    },
    forget() {
      rows.clear();
      changed.clear();
    },
    save() {
      for (const name of changed) write(Buffer.from(name, 'latin1'), rows.get(name) as Row);
    },
  };
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}

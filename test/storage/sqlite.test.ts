import { DatabaseSync } from 'node:sqlite';
import { SQLITE } from '../support/storage.ts';
import { secretStoreContract } from './secret-store-contract.ts';

secretStoreContract(SQLITE, async (url) => {
  const database = new DatabaseSync(url.slice('sqlite:'.length), { readOnly: true });
  try {
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    const rows = tables.flatMap(({ name }) => database.prepare(`SELECT * FROM "${name}"`).all());
    return rows.map((row) =>
      Buffer.concat(
        Object.values(row).map((value) => Buffer.from(value instanceof Uint8Array ? value : String(value))),
      ),
    );
  } finally {
    database.close();
  }
});

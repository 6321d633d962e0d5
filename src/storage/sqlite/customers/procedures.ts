import type { DatabaseSync } from 'node:sqlite';
import { storedBytes } from '../../usage.ts';
import type { Usage } from '../usage.ts';

export type CustomerProcedures = ReturnType<typeof createCustomerProcedures>;

type Row = { name: Uint8Array; dob: string };

export function createCustomerProcedures(database: DatabaseSync, usage: Usage) {
  const insert = database.prepare('INSERT INTO customers (id, name, dob, updated_at) VALUES (?, ?, ?, ?)');
  const find = database.prepare('SELECT name, dob FROM customers WHERE id = ?');
  const update = database.prepare('UPDATE customers SET name = ?, dob = ?, updated_at = ? WHERE id = ?');
  const remove = database.prepare('DELETE FROM customers WHERE id = ? RETURNING length(name) AS bytes');

  return {
    createCustomer(id: string, name: Uint8Array, dob: string, updatedAt: number): 'created' | 'full' {
      if (usage.isFull(storedBytes(name.length))) return 'full';
      insert.run(id, name, dob, updatedAt);
      usage.countOther(1, name.length);
      return 'created';
    },

    /** @returns null if there is none. */
    updateCustomer(
      id: string,
      newName: Uint8Array | null,
      newDob: string | null,
      now: number,
    ): readonly [name: Uint8Array, dob: string] | 'full' | null {
      const found = find.get(id) as Row | undefined;
      if (!found) return null;
      const name = newName ?? found.name;
      const dob = newDob ?? found.dob;
      const growth = storedBytes(name.length) - storedBytes(found.name.length);
      if (growth > 0 && usage.isFull(growth)) return 'full';
      update.run(name, dob, now, id);
      usage.countOther(-1, found.name.length);
      usage.countOther(1, name.length);
      return [name, dob];
    },

    /** @returns whether there was one. */
    deleteCustomer(id: string): boolean {
      const gone = remove.get(id);
      if (!gone) return false;
      usage.countOther(-1, gone.bytes as number);
      return true;
    },
  };
}

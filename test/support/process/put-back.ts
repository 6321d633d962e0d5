import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type BulkWriteOptions, type Db, MongoClient } from 'mongodb';
import { temporaryFolder } from '../storage/storage.ts';

/** With MongoDB `between` runs when all is dropped. */
export type PutBack = (between?: () => Promise<unknown>) => Promise<void>;

const SUFFIXES = ['', '-wal', '-shm'];
/** As `mongorestore` does, which leaves alone what it finds. */
const IGNORE_DUPLICATES: BulkWriteOptions = { ordered: false };

/**
 * Copies a database as it is now, also while it is in use, as somebody does who knows nothing of it: the files of SQLite,
 * the documents of MongoDB.
 * @returns what puts the copy in the place of the database. SQLite must not be in use then.
 */
export function copyDatabase(t: ExecutionContext, url: string): Promise<PutBack> {
  return url.startsWith('sqlite:') ? copyFiles(t, url.slice('sqlite:'.length)) : copyDocuments(url);
}

async function copyFiles(t: ExecutionContext, path: string): Promise<PutBack> {
  const copy = join(await temporaryFolder(t), 'copy');
  // By other processes: closing a file in ours would drop SQLite's locks on it.
  const copyAll = (from: string, to: string): void => {
    for (const suffix of SUFFIXES) {
      execFileSync('rm', ['-f', to + suffix]);
      if (existsSync(from + suffix)) execFileSync('cp', [from + suffix, to + suffix]);
    }
  };
  // Until nothing went from the WAL into the database meanwhile: the copy could lack it in both.
  let before: bigint;
  do {
    before = changedAt(path);
    copyAll(path, copy);
  } while (changedAt(path) !== before);
  return async () => copyAll(copy, path);
}

function changedAt(path: string): bigint {
  return statSync(path, { bigint: true }).mtimeNs;
}

async function copyDocuments(url: string): Promise<PutBack> {
  const copies = await withDatabase(url, async (database) => {
    const collections = await database.listCollections().toArray();
    return Promise.all(
      collections.map(async ({ name }) => ({ name, documents: await database.collection(name).find().toArray() })),
    );
  });
  return (between) =>
    withDatabase(url, async (database) => {
      for (const { name } of copies) await database.collection(name).drop();
      await between?.();
      for (const { name, documents } of copies) {
        if (documents.length === 0) continue;
        await database
          .collection(name)
          .insertMany(documents, IGNORE_DUPLICATES)
          .catch((error) => {
            if (error.code !== 11000) throw error;
          });
      }
    });
}

async function withDatabase<T>(url: string, run: (database: Db) => Promise<T>): Promise<T> {
  const client = new MongoClient(url);
  try {
    return await run(client.db());
  } finally {
    await client.close();
  }
}

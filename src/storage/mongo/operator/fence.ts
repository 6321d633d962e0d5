import type { FenceControl } from '../../../fence/store.ts';
import { connectPatiently, keepConnection } from '../engine/connection.ts';
import { translateFailures } from '../engine/unavailable.ts';
import { createFenceRecord, createMongoFenceStore } from '../fence.ts';

/** @throws AppError STORAGE_UNAVAILABLE when there is no server; Error when the URL is not valid. */
export async function openMongoFence(url: string): Promise<FenceControl> {
  const connection = keepConnection(url);
  const { current, close } = connection;
  const database = () => current().database;
  const { look, countRefused } = createMongoFenceStore(database);
  const { connect, decide } = translateFailures({
    connect: () => connectPatiently(connection),
    decide: createFenceRecord(database).decide,
  });
  try {
    await connect();
  } catch (error) {
    await close();
    throw error;
  }
  return { look, countRefused, decide, close };
}

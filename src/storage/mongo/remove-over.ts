import type { Collection } from 'mongodb';

/** A document that the database itself removes at an instant, or a little later. */
type Passing = { _id: Uint8Array; removeAt: Date };

/** Removes up to `limit` documents whose time is over. @returns how many; fewer than `limit` means that none is left. */
export async function removeOver<Kind extends Passing>(
  collection: Collection<Kind>,
  now: number,
  limit: number,
): Promise<number> {
  const documents = collection as unknown as Collection<Passing>;
  const over = { removeAt: { $lte: new Date(now) } };
  const found = await documents.find(over, { projection: { _id: 1 }, limit }).toArray();
  if (found.length > 0) await documents.deleteMany({ ...over, _id: { $in: found.map(({ _id }) => _id) } });
  return found.length;
}

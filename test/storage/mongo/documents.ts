import { BSON, MongoClient } from 'mongodb';

export async function withClient<T>(url: string, run: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = new MongoClient(url, { socketTimeoutMS: 60_000 });
  try {
    return await run(client);
  } finally {
    await client.close();
  }
}

/** Of all collections. */
export async function documentsIn(url: string): Promise<Buffer[]> {
  const found = await withClient(url, async (client) => {
    const collections = await client.db().collections();
    return Promise.all(collections.map((collection) => collection.find().toArray()));
  });
  return found.flat().map((document) => Buffer.from(BSON.serialize(document)));
}

import { BSON, MongoClient } from 'mongodb';
import { MONGODB } from '../support/storage.ts';
import { secretStoreContract } from './secret-store-contract.ts';

secretStoreContract(MONGODB, async (url) => {
  const client = new MongoClient(url);
  try {
    const documents = await client.db().collection('secrets').find().toArray();
    return documents.map((document) => Buffer.from(BSON.serialize(document)));
  } finally {
    await client.close();
  }
});

import { type Collection, type Filter, MongoBulkWriteError } from 'mongodb';
import { HEAD_BYTES } from '../../../sealing/head.ts';
import type { EndedRecord, SealedRecord, SecretRecords } from '../../../secrets/records.ts';
import { type Notify, RECEIPT_MS } from '../../../secrets/store.ts';
import type { Records } from '../../storage.ts';
import type { SecretDocument } from '../collections.ts';
import { connectPatiently, keepConnection } from '../engine/connection.ts';
import { DUPLICATE_KEY, hasCode } from '../engine/error-codes.ts';
import { translateFailures } from '../engine/unavailable.ts';
import { createMongoFenceStore } from '../fence.ts';

/** @throws AppError STORAGE_UNAVAILABLE when there is no server; Error when the URL is not valid. */
export async function openMongoRecords(url: string): Promise<Records> {
  const connection = keepConnection(url);
  const { current, close } = connection;
  const records = createMongoRecords(() => current().secrets);
  const { connect } = translateFailures({ connect: () => connectPatiently(connection) });
  try {
    await connect();
  } catch (error) {
    await close();
    throw error;
  }
  const { look } = createMongoFenceStore(() => current().fence);
  return { ...records, findMark: look, close };
}

function createMongoRecords(secrets: () => Collection<SecretDocument>): SecretRecords {
  return translateFailures({
    async listSealed({ now, after, limit }) {
      const filter = { ...laterThan(after), visibleUntil: { $gt: now } };
      const projection = { createdAt: 1, visibleUntil: 1, claimTag: 1, envelope: 1 };
      const found: SealedRecord[] = [];
      // One after the other: only the head of each envelope is kept.
      for await (const document of secrets().find(filter, { projection, limit, sort: { _id: 1 } })) {
        if (document.envelope) found.push(sealedOf(document));
      }
      return found;
    },

    async listNotifying({ now, after, limit }) {
      const filter = { ...laterThan(after), notify: { $exists: true }, removeAt: { $gt: new Date(now) } };
      const projection = { createdAt: 1, removeAt: 1, notify: 1 };
      return secrets()
        .find(filter, { projection, limit, sort: { _id: 1 } })
        .map(notifyingOf)
        .toArray();
    },

    async listEnded({ now, after, limit }) {
      const over = [{ state: { $ne: 'waiting' } }, { expiresAt: { $lte: now } }] as const;
      const filter = {
        ...laterThan(after),
        receiptHash: { $exists: true },
        removeAt: { $gt: new Date(now) },
        $or: [...over],
      } satisfies Filter<SecretDocument>;
      const options = { projection: { envelope: 0, claimTag: 0 }, limit, sort: { _id: 1 } } as const;
      return (await secrets().find(filter, options).toArray()).map(endedOf);
    },

    async restoreEnded(records, now) {
      const fresh = records.filter(({ endedAt }) => endedAt + RECEIPT_MS > now);
      return fresh.length === 0 ? 0 : insertAbsent(secrets(), fresh.map(documentOf));
    },
  } satisfies SecretRecords);
}

/** Each document by itself: those that are there stay as they are. */
async function insertAbsent(secrets: Collection<SecretDocument>, documents: SecretDocument[]): Promise<number> {
  try {
    return (await secrets.insertMany(documents, { ordered: false })).insertedCount;
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError) || !isOnlyDuplicates(error)) throw error;
    return error.insertedCount;
  }
}

function isOnlyDuplicates({ writeErrors, result }: MongoBulkWriteError): boolean {
  const all = Array.isArray(writeErrors) ? writeErrors : [writeErrors];
  return all.every((error) => hasCode(error, DUPLICATE_KEY)) && !result.getWriteConcernError();
}

function laterThan(id: Uint8Array | undefined): Filter<SecretDocument> {
  return id ? { _id: { $gt: id } } : {};
}

function sealedOf({ _id, createdAt, visibleUntil, claimTag, envelope }: SecretDocument): SealedRecord {
  return {
    id: _id,
    state: claimTag ? 'copy' : 'waiting',
    createdAt,
    visibleUntil: visibleUntil as number,
    envelopeHead: (envelope as Uint8Array).slice(0, HEAD_BYTES),
  };
}

function notifyingOf({ _id, createdAt, removeAt, notify }: SecretDocument): SealedRecord {
  return {
    id: _id,
    state: 'notifying',
    createdAt,
    visibleUntil: removeAt.getTime(),
    envelopeHead: (notify as Notify).sealed.slice(0, HEAD_BYTES),
  };
}

function endedOf({
  _id,
  state,
  createdAt,
  expiresAt,
  endedAt,
  tries,
  reads,
  receiptHash,
}: SecretDocument): EndedRecord {
  return {
    id: _id,
    receiptHash: receiptHash as Uint8Array,
    state: state === 'waiting' ? 'expired' : state,
    createdAt,
    expiresAt,
    endedAt: endedAt ?? expiresAt,
    wrongTries: tries,
    reads,
  };
}

/** "expired" is never written: see `SecretDocument`. Without an envelope there is nothing to read. */
function documentOf({ id, receiptHash, state, endedAt, wrongTries, ...instants }: EndedRecord): SecretDocument {
  return {
    _id: id,
    ...instants,
    state: state === 'expired' ? 'waiting' : state,
    ...(state !== 'expired' && { endedAt }),
    tries: wrongTries,
    triesFullAt: 0,
    receiptHash,
    removeAt: new Date(endedAt + RECEIPT_MS),
  };
}

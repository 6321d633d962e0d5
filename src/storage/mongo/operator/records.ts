import type { Collection, Filter } from 'mongodb';
import { HEAD_BYTES } from '../../../sealing/head.ts';
import type { SealedRecord, SecretRecords } from '../../../secrets/records.ts';
import type { Notify } from '../../../secrets/store.ts';
import type { Records } from '../../storage.ts';
import { MAILS, type MailDocument, SECRETS, type SecretDocument, SIGNING_KEYS } from '../collections.ts';
import { connectPatiently, keepConnection } from '../engine/connection.ts';
import { translateFailures } from '../engine/unavailable.ts';
import { createMongoFenceStore } from '../fence.ts';
import { createMongoSigningKeyStore } from '../signing-keys.ts';

/** @throws AppError STORAGE_UNAVAILABLE when there is no server; Error when the URL is not valid. */
export async function openMongoRecords(url: string): Promise<Records> {
  const connection = keepConnection(url);
  const { current, close } = connection;
  const records = createMongoRecords(
    () => SECRETS.in(current().database),
    () => MAILS.in(current().database),
  );
  const { connect } = translateFailures({ connect: () => connectPatiently(connection) });
  try {
    await connect();
  } catch (error) {
    await close();
    throw error;
  }
  const { look } = createMongoFenceStore(() => current().database);
  const { read } = createMongoSigningKeyStore(() => SIGNING_KEYS.in(current().database));
  return { ...records, findMark: look, readSigningKeys: read, close };
}

function createMongoRecords(
  secrets: () => Collection<SecretDocument>,
  mails: () => Collection<MailDocument>,
): SecretRecords & Pick<Records, 'listMails'> {
  return translateFailures({
    async listSealed({ now, after, limit }) {
      const filter = { ...laterThan(after), visibleUntil: { $gt: now } };
      const projection = { state: 1, createdAt: 1, visibleUntil: 1, claimTag: 1, envelope: 1 };
      const found: SealedRecord[] = [];
      // One document after the other, so that only the head of each envelope stays in memory.
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

    async listMails({ now, after, limit }) {
      const filter = { ...(after && { _id: { $gt: after } }), removeAt: { $gt: new Date(now) } };
      return mails()
        .find(filter, { limit, sort: { _id: 1 } })
        .map(mailOf)
        .toArray();
    },
  } satisfies SecretRecords & Pick<Records, 'listMails'>);
}

function laterThan(id: Uint8Array | undefined): Filter<SecretDocument> {
  return id ? { _id: { $gt: id } } : {};
}

function sealedOf({ _id, state, createdAt, visibleUntil, claimTag, envelope }: SecretDocument): SealedRecord {
  const unread = state === 'requested' ? state : 'waiting';
  return {
    id: _id,
    state: claimTag ? 'copy' : unread,
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

function mailOf({ _id, occurredAt, removeAt, sealed }: MailDocument): SealedRecord {
  return {
    id: _id,
    state: 'mail',
    createdAt: occurredAt,
    visibleUntil: removeAt.getTime(),
    envelopeHead: sealed.slice(0, HEAD_BYTES),
  };
}

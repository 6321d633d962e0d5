import { AppError } from '../errors.ts';
import { randomBytes } from '../sealing/random.ts';
import { admit, admitNotify, type Notifier, refuseIf } from './admission.ts';
import { type Content, type PhraseKey, SALT_BYTES, sealSecret } from './envelope.ts';
import { readJwe } from './jwe.ts';
import { createReceiptKey, createSecretKey, parseReceiptKey, type ReceiptKey } from './keys.ts';
import { normalisePhrase } from './phrases.ts';
import { createReading, type ReadEvent, type Reading, type ReadingParts } from './reading.ts';
import { createRequests, type RequestEvent, type Requests } from './requests.ts';
import type { Receipt } from './store.ts';

/** What happened, for metrics and the audit log. */
export type SecretEvent = 'created' | 'burned' | ReadEvent | RequestEvent;

export type CreateInput = {
  /** Checked: see operations.ts. */
  secret: string;
  /** Whether the client sealed it: then it is a JWE. */
  sealed?: boolean | undefined;
  /** 32 bytes in base64url; only of a sealed one. */
  proof_hash?: string | undefined;
  phrase?: string | undefined;
  ttlMs: number;
  receipt: boolean;
  /** The client whose limits count; without one, only the limit on everything stored counts. */
  client?: Uint8Array | undefined;
  /** The URL to notify when the secret ends. */
  notify?: string | undefined;
};
export type Created = {
  secretKey: string;
  receiptKey: string | undefined;
  webhookSecret: string | undefined;
  expiresAt: number;
};

export type Secrets = Reading & {
  requests: Requests;
  /**
   * Stores a secret. Durable once it resolves.
   * @throws AppError RATE_LIMITED, QUOTA_EXCEEDED, STORAGE_FULL; BUSY with a phrase; with `notify` as `Notifier.check`.
   */
  create(input: CreateInput): Promise<Created>;
  /** @throws AppError KEY_NOT_FOUND */
  findReceipt(receiptKey: string): Promise<Receipt>;
  /** `requestId` names the request in the audit log. @throws AppError KEY_NOT_FOUND, NOT_WAITING */
  burn(receiptKey: string, requestId?: string): Promise<void>;
};

type SecretParts = Omit<ReadingParts, 'onEvent'> & {
  onEvent(event: SecretEvent, requestId?: string): void;
  notifier: Notifier;
};

/** The rules of one-time secrets. */
export function createSecrets(parts: SecretParts): Secrets {
  const { store, ring, clock, onEvent, notifier, delivery, refusedUntil } = parts;
  return {
    ...createReading(parts),
    requests: createRequests(parts),

    async create(input) {
      const { ttlMs, receipt, client } = input;
      const phraseKey = await prepare(parts, input);
      const now = clock();
      const createdAt = Math.max(now, refusedUntil() + 1); // the clock may be behind the last refused instant
      const expiresAt = now + ttlMs;
      const key = createSecretKey(expiresAt);
      const { id } = key;
      const receiptKey = receipt ? createReceiptKey(id) : undefined;
      const envelope = sealSecret(ring, key.bytes, { id, createdAt, expiresAt }, contentOf(input), phraseKey);
      const isAdmitted = phraseKey !== undefined || input.notify !== undefined;
      const creator = client && { client, now, isAdmitted };
      const receiptHash = receiptKey?.receiptHash;
      const webhook = input.notify === undefined ? undefined : notifier.subscribe(input.notify, key);
      const notify = webhook?.notify;
      refuseIf(await store.create({ id, envelope, createdAt, expiresAt, receiptHash, notify, creator }));
      onEvent('created');
      return {
        secretKey: key.text,
        receiptKey: receiptKey?.text,
        webhookSecret: webhook?.webhookSecret,
        expiresAt,
      };
    },

    async findReceipt(text) {
      const { id, receiptHash } = parse(text);
      const receipt = await store.findReceipt(id, receiptHash, clock());
      if (!receipt) throw new AppError('KEY_NOT_FOUND');
      // A refused secret may have been read since, so "waiting" and "expired" could be wrong; an end that is known stays.
      const isKnown = receipt.createdAt > refusedUntil() || receipt.state === 'read' || receipt.state === 'burned';
      if (!isKnown) throw new AppError('KEY_NOT_FOUND');
      return receipt;
    },

    async burn(text, requestId) {
      const { id, receiptHash } = parse(text);
      const outcome = await store.burn(id, receiptHash, clock(), refusedUntil());
      if (!outcome) throw new AppError('KEY_NOT_FOUND');
      if (outcome === 'not-waiting') throw new AppError('NOT_WAITING');
      onEvent('burned', requestId);
      delivery.wake();
    },
  };
}

/**
 * What has to be done before storing. A hash costs more than storing, so a refused creation must not cause one. The address
 * of a `notify` comes before the hash, so that a place in the queue of hashes does not wait for it.
 */
async function prepare(parts: SecretParts, { phrase, notify, client }: CreateInput): Promise<PhraseKey | undefined> {
  await admitNotify(parts, notify, client);
  if (phrase === undefined) return undefined;
  const salt = randomBytes(SALT_BYTES);
  return parts.gate.run(salt.toString('hex'), async (hashPhrase) => {
    if (notify === undefined) await admit(parts, client);
    return { salt, key: await hashPhrase(normalisePhrase(phrase), salt) };
  });
}

function contentOf({ secret, sealed, proof_hash }: CreateInput): Content {
  const text = Buffer.from(secret);
  if (!sealed) return { text };
  const proofHash = proof_hash === undefined ? undefined : Buffer.from(proof_hash, 'base64url');
  return { text, label: { ...readJwe(secret), proofHash } };
}

function parse(text: string): ReceiptKey {
  const key = parseReceiptKey(text);
  if (!key) throw new AppError('KEY_NOT_FOUND');
  return key;
}

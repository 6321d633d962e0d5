import { AppError } from '../errors.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import { type AdmissionParts, admitNotify, refuseIf } from './admission.ts';
import { recognise, recogniseAgain } from './answer-repeats.ts';
import { type Content, sealAnswer } from './envelope.ts';
import { type FindingParts, findSecret, parseSecret, withoutMasterKey } from './finding.ts';
import { readJwe } from './jwe.ts';
import { createReceiptKey, createRequestKeys, parseRequestKey, type RequestKey } from './keys.ts';
import { isRightProof } from './label.ts';
import type { Delivery } from './reading.ts';
import { type Asked, openRequest, sealRequest } from './request-envelope.ts';
import { requestTokenOf } from './request-keys.ts';
import type { FoundRequest, SecretStore } from './store.ts';

/** How long the same answer can be repeated. */
export const REPEAT_MS = 60_000;

/** What happened, for metrics and the audit log. */
export type RequestEvent = 'requested' | 'answered' | 'withdrawn';

export type AskInput = {
  ttlMs: number;
  note?: string | undefined;
  /** The thumbprint of the key for which an answer has to be sealed, in base64url. */
  kid?: string | undefined;
  /** 32 bytes in base64url; only with a `kid`. */
  proof_hash?: string | undefined;
  notify?: string | undefined;
  /** The client whose limits count. */
  client?: Uint8Array | undefined;
};
export type Asking = { requestKey: string; secretKey: string; webhookSecret: string | undefined; expiresAt: number };

/** What somebody sees who may answer. */
export type OpenRequest = { note?: string; kid?: string; expiresAt: number };

export type AnswerInput = {
  /** Checked: see request-operations.ts. */
  secret: string;
  sealed: boolean;
  receipt: boolean;
  idempotencyKey?: string | undefined;
  /** The client whose rate counts. */
  client?: Uint8Array | undefined;
};
export type Answered = { expiresAt: number; receiptKey: string | undefined };

/** Secrets that somebody asks somebody else for. */
export type Requests = {
  /** Durable once it resolves. @throws AppError as `Secrets.create` does without a phrase. */
  create(input: AskInput): Promise<Asking>;
  /** @throws AppError KEY_NOT_FOUND when unknown, answered or expired; MASTER_KEY_UNAVAILABLE. */
  look(requestKey: string): Promise<OpenRequest>;
  /**
   * Answers an open request, once: of any number of answers one wins. With an `idempotencyKey`, the same answer can be
   * repeated for a minute and has the same result. Anything but a success leaves the request open.
   * @throws AppError KEY_NOT_FOUND, INVALID_REQUEST, MASTER_KEY_UNAVAILABLE, RATE_LIMITED, QUOTA_EXCEEDED, STORAGE_FULL.
   */
  answer(requestKey: string, input: AnswerInput): Promise<Answered>;
  /**
   * Ends an open request. `requestId` names the HTTP request in the audit log.
   * @throws AppError KEY_NOT_FOUND, STILL_WAITING for a secret, PROOF_REQUIRED, MASTER_KEY_UNAVAILABLE.
   */
  withdraw(secretKey: string, proof: string | undefined, requestId?: string): Promise<void>;
};

export type RequestParts = AdmissionParts &
  FindingParts & {
    store: SecretStore;
    ring: KeyRing;
    delivery: Pick<Delivery, 'wake'>;
    onEvent(event: RequestEvent, requestId?: string): void;
  };

/** The rules of requests. */
export function createRequests(parts: RequestParts): Requests {
  const { store, ring, clock, notifier, onEvent, refusedUntil } = parts;
  return {
    async create({ ttlMs, notify: url, client, ...asked }) {
      await admitNotify(parts, url, client);
      const now = clock();
      const createdAt = Math.max(now, refusedUntil() + 1); // the clock may be behind the last refused instant
      const expiresAt = now + ttlMs;
      const { secretKey, requestKey } = createRequestKeys(expiresAt);
      const { id, requestHash } = requestKey;
      const envelope = sealRequest(ring, secretKey.bytes, { id, createdAt, expiresAt }, askedIn(asked));
      const creator = client && { client, now, isAdmitted: url !== undefined };
      const { notify, webhookSecret } = url === undefined ? {} : notifier.subscribe(url, secretKey);
      refuseIf(await store.create({ id, envelope, createdAt, expiresAt, requestHash, notify, creator }));
      onEvent('requested');
      return { requestKey: requestKey.text, secretKey: secretKey.text, webhookSecret, expiresAt };
    },

    async look(text) {
      const key = parse(text);
      const found = await find(parts, key);
      if (found.state !== 'open') throw new AppError('KEY_NOT_FOUND');
      const { note, label } = open(parts, key, found);
      return { ...(note && { note }), ...(label && { kid: label.kid }), expiresAt: found.expiresAt };
    },

    answer: (text, input) => answer(parts, parse(text), input),

    async withdraw(text, proof, requestId) {
      const key = parseSecret(text);
      const found = await findSecret(parts, key);
      if (found.state === 'copy') throw new AppError('KEY_NOT_FOUND');
      if (found.state === 'waiting') throw new AppError('STILL_WAITING');
      const { label } = open(parts, { id: key.id, token: requestTokenOf(key.bytes) }, found);
      if (label?.proofHash && !isRightProof(label.proofHash, proof)) throw new AppError('PROOF_REQUIRED');
      const outcome = await store.withdraw(key.id, clock());
      if (!outcome) throw new AppError('KEY_NOT_FOUND');
      if (outcome === 'waiting') throw new AppError('STILL_WAITING'); // answered meanwhile
      onEvent('withdrawn', requestId);
    },
  };
}

async function answer(parts: RequestParts, key: RequestKey, input: AnswerInput): Promise<Answered> {
  const { store, ring, clock, delivery, onEvent, refusedUntil } = parts;
  const found = await find(parts, key);
  if (found.state === 'answered') return repeat(parts, key, input, found);
  const asked = open(parts, key, found);
  const { id } = key;
  const now = clock();
  const createdAt = Math.max(now, refusedUntil() + 1);
  const { expiresAt } = found;
  const sent = sentBy(key, input);
  const recognised = sent && recognise(ring, sent);
  const receiptKey = input.receipt ? createReceiptKey(id, recognised?.receiptToken) : undefined;
  const outcome = await store.answer(id, key.requestHash, now, {
    envelope: sealAnswer(ring, asked.publicKey, { id, createdAt, expiresAt }, contentFor(asked, input)),
    createdAt,
    receiptHash: receiptKey?.receiptHash,
    repeat: recognised && { tag: recognised.tag, until: now + REPEAT_MS },
    answerer: input.client && { client: input.client, now },
  });
  if (typeof outcome === 'object') refuseIf(outcome);
  // Lost. The winner may be the same answer, sent twice.
  if (!outcome) return repeat(parts, key, input, await find(parts, key));
  onEvent('answered');
  delivery.wake();
  return { expiresAt, receiptKey: receiptKey?.text };
}

function repeat({ ring }: RequestParts, key: RequestKey, input: AnswerInput, found: FoundRequest): Answered {
  const sent = sentBy(key, input);
  const recognised = sent && found.state === 'answered' && recogniseAgain(ring, sent, found.answer.tag);
  if (!recognised) throw new AppError('KEY_NOT_FOUND');
  const receiptKey = input.receipt ? createReceiptKey(key.id, recognised.receiptToken).text : undefined;
  return { expiresAt: found.expiresAt, receiptKey };
}

function sentBy({ token }: RequestKey, { idempotencyKey, secret, sealed, receipt }: AnswerInput) {
  return idempotencyKey === undefined ? undefined : { requestToken: token, idempotencyKey, secret, sealed, receipt };
}

/** @throws AppError INVALID_REQUEST for an answer that is not sealed as was asked for. */
function contentFor({ label }: Asked, { secret, sealed }: AnswerInput): Content {
  if (!label && sealed) throw invalid('sealed must be false: the request has no `kid` to seal for');
  if (label && !sealed) throw invalid('sealed must be true: the request wants an answer that is sealed for its `kid`');
  if (!label) return { text: Buffer.from(secret) };
  const jwe = readJwe(secret);
  if (jwe.kid !== label.kid) throw invalid('secret must be sealed for the `kid` of the request');
  return { text: Buffer.from(secret), label: { ...jwe, proofHash: label.proofHash } };
}

function invalid(detail: string): AppError {
  return new AppError('INVALID_REQUEST', { detail });
}

function askedIn({ note, kid, proof_hash }: Pick<AskInput, 'note' | 'kid' | 'proof_hash'>): Asked {
  if (kid === undefined) return { note };
  const proofHash = proof_hash === undefined ? undefined : Buffer.from(proof_hash, 'base64url');
  return { note, label: { alg: 'ECDH-ES', kid, hasFiles: false, proofHash } };
}

function parse(text: string): RequestKey {
  const key = parseRequestKey(text);
  if (!key) throw new AppError('KEY_NOT_FOUND');
  return key;
}

async function find({ store, clock, refusedUntil }: RequestParts, key: RequestKey): Promise<FoundRequest> {
  const found = await store.findRequest(key.id, key.requestHash, clock());
  if (!found || found.createdAt <= refusedUntil()) throw new AppError('KEY_NOT_FOUND');
  return found;
}

/** Checks at the same time that nothing of the request was exchanged. */
function open(
  { ring }: Pick<RequestParts, 'ring'>,
  { id, token }: Pick<RequestKey, 'id' | 'token'>,
  { createdAt, expiresAt, envelope }: { createdAt: number; expiresAt: number; envelope: Uint8Array },
): Asked & { publicKey: Buffer } {
  const asked = openRequest(ring, token, { id, createdAt, expiresAt }, envelope);
  if (!asked) throw withoutMasterKey();
  return asked;
}

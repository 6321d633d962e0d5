import {
  type Content,
  distrust,
  FILES,
  HushboxError,
  isKeyOf,
  kidOfPublicKey,
  newKey,
  type Opened,
  type ParsedLink,
  parseLink,
  proofOf,
  publicKeyOf,
  type Seal,
  seal,
  unseal,
} from './sealing.ts';
import { type Answer, type Call, call, type Progress, repeat } from './wire.ts';

/** An idempotency key makes one read or one answer safe to repeat: 32 random bytes, like any key. */
export { HushboxError, newKey as newIdempotencyKey, type Opened, type ParsedLink, type Progress, parseLink };

/** Text, files, or both. */
export type Sendable = string | readonly File[] | { text?: string; files: readonly File[] };
export type Lifetime = { days?: number; hours?: number; minutes?: number };

type Waiting = {
  signal?: AbortSignal | undefined;
  /** How much of the body has been sent (browsers) or received, from 0 to 1. */
  onProgress?: Progress | undefined;
};

export type SendOptions = Waiting & {
  phrase?: string | undefined;
  ttl?: Lifetime | undefined;
  receipt?: boolean | undefined;
  notify?: string | undefined;
  /** Leaves the sealing to the server: for text alone, where the browser cannot seal. */
  plain?: boolean | undefined;
};
export type Sent = { link: string; expiresAt: string; receiptKey?: string; webhookSecret?: string };

export type NotAnswered = { answered: false; note?: string; expiresAt: string };
export type Look =
  | NotAnswered
  | { answered: true; phrase: boolean; expiresAt: string; isSealed: boolean; hasFiles: boolean };

export type OpenOptions = Waiting & {
  phrase?: string | undefined;
  /** From `newIdempotencyKey`, to repeat the read with: it works for 60 s. */
  idempotencyKey?: string | undefined;
};

export type Receipt = {
  state: 'waiting' | 'read' | 'burned' | 'expired';
  createdAt: string;
  expiresAt: string;
  endedAt?: string;
  wrongTries: number;
  reads: number;
};

export type RequestOptions = Pick<SendOptions, 'ttl' | 'notify' | 'plain' | 'signal'> & { note?: string | undefined };
/** `link` is for the person who is asked. `keepLink` opens the answer, and is for nobody else. */
export type Requested = { link: string; keepLink: string; expiresAt: string; webhookSecret?: string };
export type RequestLook = { note?: string; expiresAt: string; isSealed: boolean };

export type AnswerOptions = Waiting & { receipt?: boolean | undefined; idempotencyKey?: string | undefined };
export type Answered = { expiresAt: string; receiptKey?: string };

/**
 * Secrets that are sealed here and handed over once. What a link says after its # decides what is shown, not the server.
 * Every method fails with a HushboxError, or with the reason of its signal.
 */
export class Hushbox {
  readonly #base: string;
  readonly #token: string | undefined;
  readonly #fetch: typeof fetch | undefined;

  /** @param options.token the server's `CREATE_TOKEN`, which is sent to this server alone. */
  constructor(
    url: string | URL,
    options: { token?: string | undefined; fetch?: typeof globalThis.fetch | undefined } = {},
  ) {
    const { origin, pathname } = new URL(url);
    this.#base = origin + pathname.replace(/\/+$/, '');
    this.#token = options.token;
    this.#fetch = options.fetch;
  }

  /** Stores a secret. The key is made here and is in the link alone. */
  async send(content: Sendable, options: SendOptions = {}): Promise<Sent> {
    const { phrase, ttl, receipt, notify, plain, signal, onProgress } = options;
    const key = plain ? undefined : newKey();
    const members = { phrase: phrase || undefined, ttl, receipt, notify };
    const body = key
      ? sealedBody(await seal(contentOf(content), { key }), { ...members, proof_hash: (await proofOf(key)).proofHash })
      : json({ secret: textOf(content), ...members });
    const sent = await this.#create('/generate', { body, signal, onUpload: onProgress });
    return { link: linkTo(this.#base, 'secret', sent.secret_key, key), ...timesAndKeys(sent) };
  }

  /** Looks without reading: nothing is used up. */
  async look(link: string | URL, { signal }: Pick<Waiting, 'signal'> = {}): Promise<Look> {
    return lookOf(await this.#look(parse(link, 'secret'), signal));
  }

  /**
   * Reads a secret: the one and only time. A read that is cut off is repeated.
   * With an `idempotencyKey` that was used before, the same content comes again for 60 s.
   */
  async open(link: string | URL, options: OpenOptions = {}): Promise<Opened> {
    const { phrase, idempotencyKey, signal, onProgress } = options;
    const parsed = parse(link, 'secret');
    const { fragment } = parsed;
    const looked = await this.#look(parsed, signal).catch((error: unknown) => {
      // A secret that was read with this very key can be fetched again, but not looked at.
      if (idempotencyKey && (error as HushboxError).code === 'KEY_NOT_FOUND') return undefined;
      throw error;
    });
    if (looked?.answered === false) throw new HushboxError('NOT_ANSWERED');
    const read: Call = {
      body: json({ phrase: phrase || undefined, ...(fragment && { proof: (await proofOf(fragment)).proof }) }),
      headers: { 'idempotency-key': idempotencyKey ?? newKey() },
      signal,
      onDownload: onProgress,
    };
    const answer = await repeat(() => this.#post(urlOf(parsed), read), signal).catch(spoiltIfNoProof);
    const secret = stringIn(answer.secret);
    if (!fragment) return answer.sealed ? distrust() : { text: secret, files: [] };
    const sealed = sealOf(answer);
    return sealed && (await isKeyOf(fragment, sealed)) ? unseal(secret, fragment, sealed) : distrust();
  }

  /** What became of a secret. */
  async receipt(key: string, { signal }: Pick<Waiting, 'signal'> = {}): Promise<Receipt> {
    const found = await call(this.#receiptUrl(key), { signal }, this.#fetch);
    return {
      state: stringIn(found.state) as Receipt['state'],
      createdAt: stringIn(found.created_at),
      expiresAt: stringIn(found.expires_at),
      ...optional('endedAt', found.ended_at),
      wrongTries: Number(found.wrong_tries),
      reads: Number(found.reads),
    };
  }

  /** Burns a secret that still waits. */
  async burn(key: string, { signal }: Pick<Waiting, 'signal'> = {}): Promise<void> {
    await call(this.#receiptUrl(key), { method: 'DELETE', signal }, this.#fetch);
  }

  /** Asks somebody for a secret. The note can be read by the server. */
  async request(options: RequestOptions = {}): Promise<Requested> {
    const { note, ttl, notify, plain, signal } = options;
    const d = plain ? undefined : newKey();
    const x = d && (await publicKeyOf(d));
    const keys = d && x && { kid: await kidOfPublicKey(x), proof_hash: (await proofOf(d)).proofHash };
    const body = json({ note: note || undefined, ttl, notify, ...keys });
    const made = await this.#create('/requests', { body, signal });
    return {
      link: linkTo(this.#base, 'request', made.request_key, x),
      keepLink: linkTo(this.#base, 'secret', made.secret_key, d),
      ...timesAndKeys(made),
    };
  }

  /** What is asked for. The link is checked too: nothing may be typed for one that is spoilt. */
  async lookAtRequest(link: string | URL, { signal }: Pick<Waiting, 'signal'> = {}): Promise<RequestLook> {
    return this.#lookAtRequest(parse(link, 'request'), signal);
  }

  /** Answers a request. Of all answers the first one counts; the others get KEY_NOT_FOUND. */
  async answer(link: string | URL, content: Sendable, options: AnswerOptions = {}): Promise<Answered> {
    const { receipt, idempotencyKey, signal, onProgress } = options;
    const parsed = parse(link, 'request');
    const { fragment: x } = parsed;
    await this.#lookAtRequest(parsed, signal);
    const body = x
      ? sealedBody(await seal(contentOf(content), { x }), { receipt })
      : json({ secret: textOf(content), receipt });
    const headers = { 'idempotency-key': idempotencyKey ?? newKey() };
    const sending: Call = { body, headers, signal, onUpload: onProgress };
    return timesAndKeys(await repeat(() => this.#post(urlOf(parsed), sending), signal));
  }

  /** Takes a request back that is not answered yet. */
  async withdraw(keepLink: string | URL, { signal }: Pick<Waiting, 'signal'> = {}): Promise<void> {
    const parsed = parse(keepLink, 'secret');
    const { fragment } = parsed;
    const body = json(fragment ? { proof: (await proofOf(fragment)).proof } : {});
    await call(urlOf(parsed), { method: 'DELETE', body, signal }, this.#fetch).catch(spoiltIfNoProof);
  }

  #post(url: string, details: Call): Promise<Answer> {
    return call(url, { ...details, method: 'POST' }, this.#fetch);
  }

  #create(path: string, details: Call): Promise<Answer> {
    const headers = this.#token ? { authorization: `Bearer ${this.#token}` } : {};
    return this.#post(this.#base + path, { ...details, headers });
  }

  #receiptUrl(key: string): string {
    return urlOf(parse(`${this.#base}/receipts/${key}`, 'receipt'));
  }

  /** Looks, and refuses what the part after the # is not for. */
  async #look(link: ParsedLink, signal?: AbortSignal): Promise<Answer> {
    const found = await call(urlOf(link), { signal }, this.#fetch);
    const sealed = sealOf(found);
    if (found.answered !== false) await checkFragment(link, sealed, (key) => isKeyOf(key, sealed ?? {}));
    return found;
  }

  async #lookAtRequest(link: ParsedLink, signal?: AbortSignal): Promise<RequestLook> {
    const found = await call(urlOf(link), { signal }, this.#fetch);
    const { kid } = found;
    await checkFragment(link, kid, async (x) => kid === (await kidOfPublicKey(x)));
    return { ...optional('note', found.note), expiresAt: stringIn(found.expires_at), isSealed: kid !== undefined };
  }
}

/** @throws HushboxError SPOILT_LINK for a link of another kind too. */
function parse(link: string | URL, kind: ParsedLink['kind']): ParsedLink {
  const parsed = parseLink(link);
  if (parsed.kind !== kind) throw new HushboxError('SPOILT_LINK');
  return parsed;
}

function urlOf({ base, kind, key }: ParsedLink): string {
  return `${base}/${kind}s/${key}`;
}

/** A key with other characters could make a link that means something else. */
function linkTo(base: string, kind: ParsedLink['kind'], key: unknown, fragment?: string): string {
  if (!/^[\w-]+$/.test(stringIn(key))) distrust();
  return `${base}/${kind}s/${key}${fragment ? `#${fragment}` : ''}`;
}

/**
 * The part after the # decides: where there is one, nothing else than what it is for is shown, read or answered.
 * @param isSealed what the server says.
 */
async function checkFragment(
  { fragment }: ParsedLink,
  isSealed: unknown,
  isFor: (fragment: string) => Promise<boolean>,
) {
  if (fragment && !isSealed) distrust();
  if (isSealed && !(fragment && (await isFor(fragment)))) throw new HushboxError('SPOILT_LINK');
}

function sealOf({ sealed }: Answer): Seal | undefined {
  return sealed ? Object(sealed) : undefined;
}

function lookOf(found: Answer): Look {
  const expiresAt = stringIn(found.expires_at);
  if (found.answered === false) return { answered: false, ...optional('note', found.note), expiresAt };
  const sealed = sealOf(found);
  return {
    answered: true,
    phrase: found.phrase === true,
    expiresAt,
    isSealed: sealed !== undefined,
    hasFiles: sealed?.cty === FILES,
  };
}

function contentOf(content: Sendable): Content {
  if (typeof content === 'string') return { text: content, files: [] };
  return 'files' in content ? content : { files: content };
}

function textOf(content: Sendable): string {
  const { text, files } = contentOf(content);
  if (files.length > 0) throw new HushboxError('INVALID_REQUEST', { message: 'Only what is sealed can hold files.' });
  return text ?? '';
}

/** In parts, because the text of a large secret is not needed in one piece. */
function sealedBody(secret: readonly string[], members: object): Blob {
  return new Blob(['{"secret":"', ...secret, '",', JSON.stringify({ sealed: true, ...members }).slice(1)]);
}

function json(members: object): Blob {
  return new Blob([JSON.stringify(members)]);
}

function timesAndKeys(answer: Answer) {
  return {
    expiresAt: stringIn(answer.expires_at),
    ...optional('receiptKey', answer.receipt_key),
    ...optional('webhookSecret', answer.webhook_secret),
  };
}

function optional<Name extends string>(name: Name, value: unknown): { [name in Name]?: string } {
  return (value === undefined ? {} : { [name]: stringIn(value) }) as { [name in Name]?: string };
}

function stringIn(value: unknown): string {
  return typeof value === 'string' ? value : distrust();
}

/** The proof is made from the part after the #: it is wrong only if that is. */
function spoiltIfNoProof(error: unknown): never {
  throw (error as HushboxError).code === 'PROOF_REQUIRED' ? new HushboxError('SPOILT_LINK') : error;
}

import {
  baseOf,
  type Content,
  distrust,
  FILES,
  HushboxError,
  isKeyOf,
  kidOfPublicKey,
  newKey,
  type Opened,
  type ParsedLink,
  type Part,
  parseLink,
  proofHashOf,
  proofOf,
  publicKeyOf,
  refuse,
  type Seal,
  seal,
  stringIn,
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
    this.#base = baseOf(url);
    this.#token = options.token;
    this.#fetch = options.fetch;
  }

  /** Stores a secret. The key is made here and is in the link alone. */
  async send(content: Sendable, options: SendOptions = {}): Promise<Sent> {
    const { plain, signal, onProgress, ...members } = options;
    const key = plain ? undefined : newKey();
    const body = key
      ? sealedBody(await seal(contentOf(content), { key }), { ...members, ...(await proofHashOf(key)) })
      : json({ ...members, secret: textOf(content) });
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
      body: json({ phrase, ...(await proofOf(fragment)) }),
      headers: { 'idempotency-key': idempotencyKey ?? newKey() },
      signal,
      onDownload: onProgress,
    };
    const answer = await repeat(() => this.#call(urlOf(parsed), read)).catch(spoiltIfNoProof);
    const secret = stringIn(answer.secret);
    if (!fragment) return answer.sealed ? distrust() : { text: secret, files: [] };
    const sealed = answer.sealed as Seal | undefined;
    return sealed && (await isKeyOf(fragment, sealed)) ? unseal(secret, fragment, sealed) : distrust();
  }

  /** What became of a secret. */
  async receipt(key: string, { signal }: Pick<Waiting, 'signal'> = {}): Promise<Receipt> {
    const found = await this.#call(this.#receiptUrl(key), { signal });
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
    await this.#call(this.#receiptUrl(key), { method: 'DELETE', signal });
  }

  /** Asks somebody for a secret. The note can be read by the server. */
  async request(options: RequestOptions = {}): Promise<Requested> {
    const { plain, signal, ...members } = options;
    const d = plain ? undefined : newKey();
    const x = d && (await publicKeyOf(d));
    const keys = d && x && { kid: await kidOfPublicKey(x), ...(await proofHashOf(d)) };
    const body = json({ ...members, ...keys });
    const made = await this.#create('/requests', { body, signal });
    return {
      link: linkTo(this.#base, 'request', made.request_key, x),
      keepLink: linkTo(this.#base, 'secret', made.secret_key, d),
      ...timesAndKeys(made),
    };
  }

  /** What is asked for. The link is checked too: nothing may be typed for one that is spoilt. */
  async lookAtRequest(link: string | URL, { signal }: Pick<Waiting, 'signal'> = {}): Promise<RequestLook> {
    const found = await this.#look(parse(link, 'request'), signal);
    return { ...optional('note', found.note), expiresAt: stringIn(found.expires_at), isSealed: Boolean(found.kid) };
  }

  /** Answers a request. Of all answers the first one counts; the others get KEY_NOT_FOUND. */
  async answer(link: string | URL, content: Sendable, options: AnswerOptions = {}): Promise<Answered> {
    const { idempotencyKey, signal, onProgress, ...members } = options;
    const parsed = parse(link, 'request');
    const { fragment: x } = parsed;
    await this.#look(parsed, signal);
    const body = x
      ? sealedBody(await seal(contentOf(content), { x }), members)
      : json({ ...members, secret: textOf(content) });
    const headers = { 'idempotency-key': idempotencyKey ?? newKey() };
    const sending: Call = { body, headers, signal, onUpload: onProgress };
    return timesAndKeys(await repeat(() => this.#call(urlOf(parsed), sending)));
  }

  /** Takes a request back that is not answered yet. */
  async withdraw(keepLink: string | URL, { signal }: Pick<Waiting, 'signal'> = {}): Promise<void> {
    const parsed = parse(keepLink, 'secret');
    const body = json(await proofOf(parsed.fragment));
    await this.#call(urlOf(parsed), { method: 'DELETE', body, signal }).catch(spoiltIfNoProof);
  }

  #call(url: string, details: Call): Promise<Answer> {
    return call(url, details, this.#fetch);
  }

  #create(path: string, details: Call): Promise<Answer> {
    const headers = this.#token ? { authorization: `Bearer ${this.#token.trim()}` } : {};
    return this.#call(this.#base + path, { ...details, headers });
  }

  #receiptUrl(key: string): string {
    return urlOf(parse(`${this.#base}/receipts/${key}`, 'receipt'));
  }

  /**
   * Looks at a secret or a request. The part after the # decides: where a link has one, nothing else than what it is for
   * is shown, read or answered; where it lacks one, neither.
   */
  async #look(link: ParsedLink, signal?: AbortSignal): Promise<Answer> {
    const { kind, fragment } = link;
    const found = await this.#call(urlOf(link), { signal });
    const { kid, answered } = found;
    const sealed = (kind === 'secret' ? found.sealed : kid && { alg: kind, kid }) as Seal | undefined;
    if (kind === 'secret' && answered === false) return found;
    if (fragment && !sealed) distrust();
    if (sealed && !(fragment && (await isKeyOf(fragment, sealed)))) throw new HushboxError('SPOILT_LINK');
    return found;
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

function lookOf(found: Answer): Look {
  const expiresAt = stringIn(found.expires_at);
  if (found.answered === false) return { answered: false, ...optional('note', found.note), expiresAt };
  const sealed = found.sealed as Seal | undefined;
  return {
    answered: true,
    phrase: found.phrase === true,
    expiresAt,
    isSealed: Boolean(sealed),
    hasFiles: sealed?.cty === FILES,
  };
}

/** What is neither text nor a file would be sealed as something that nobody can open. */
function contentOf(content: Sendable): Content {
  const { text, files = content } = Object(
    typeof content === 'string' ? { text: content, files: [] } : content,
  ) as Partial<Content>;
  const list = Array.from(Object(files) as File[]);
  if (!list.every((file) => file instanceof File)) refuse('No text or file.');
  return { text, files: list };
}

function textOf(content: Sendable): string {
  const { text, files } = contentOf(content);
  if (files.length > 0) refuse('Files must be sealed.');
  return text ?? '';
}

function sealedBody(secret: readonly Part[], members: object): Blob {
  return json({ ...members, sealed: true }, '{"secret":"', ...secret, '",');
}

/** @param start pieces that come instead of the opening brace. */
function json(members: object, ...start: readonly Part[]): Blob {
  return new Blob([...start, JSON.stringify(members).slice(start.length && 1)], { type: 'application/json' });
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

/** The proof is made from the part after the #: it is wrong only if that is. */
function spoiltIfNoProof(error: unknown): never {
  throw (error as HushboxError).code === 'PROOF_REQUIRED' ? new HushboxError('SPOILT_LINK') : error;
}

import { Agent, type ClientRequest, type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps, Agent as TlsAgent } from 'node:https';
import { AppError } from '../errors.ts';
import { type Caller, type Credentials, REFUSALS, type Refusal } from '../http/caller.ts';
import { randomBytes } from '../sealing/random.ts';

/** For both attempts together. */
const DEADLINE_MS = 3_000;
const RETRY_AFTER_SECONDS = 1;
const MAX_ATTEMPTS = 2;
const MAX_ANSWER_BYTES = 65_536;
/** More calls at once wait for one of these, within their deadline. */
const MAX_CONNECTIONS = 64;
const CALL_ID_BYTES = 16;

/** Where the service is that knows tokens. */
export type AuthAddress = { socketPath: string } | { protocol: 'http:' | 'https:'; hostname: string; port: number };

/** The request that credentials came with. */
export type Sent = { method: string /** As the client knows it, without a query. */; url: string };

export const AUTH_OUTCOMES = ['accepted', 'refused', 'repeated', 'unavailable'] as const;
export type AuthOutcome = (typeof AUTH_OUTCOMES)[number];

export type AuthClientParts = {
  address: AuthAddress;
  /** Its `INTERNAL_TOKEN`, if it has one. */
  internalToken: string | undefined;
  /** @param ms how long it took; undefined for `repeated`, which is another attempt of a call. */
  onCall(outcome: AuthOutcome, ms?: number): void;
  /** Tests wait for a longer or a shorter time. */
  deadlineMs?: number;
};

export type AuthClient = {
  /**
   * Asks whether a token is good, each time: no answer is kept.
   * @throws AppError one of `REFUSALS` if it is not; AUTH_UNAVAILABLE if nobody says so in time.
   */
  ask(credentials: Credentials, sent: Sent): Promise<Caller>;
  close(): void;
};

/** Asks `POST /validateToken` of the service that knows tokens. What a token looks like is not known here. */
export function createAuthClient(parts: AuthClientParts): AuthClient {
  const { address, internalToken, onCall, deadlineMs = DEADLINE_MS } = parts;
  const isTls = 'protocol' in address && address.protocol === 'https:';
  const send = isTls ? requestHttps : requestHttp;
  const agent = new (isTls ? TlsAgent : Agent)({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  const place: RequestOptions = 'socketPath' in address ? address : { host: address.hostname, port: address.port };
  const authorization = internalToken === undefined ? {} : { authorization: `Bearer ${internalToken}` };

  /** One attempt. */
  function post(body: string, callId: string, signal: AbortSignal): Promise<string> {
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'hushbox-call-id': callId,
      ...authorization,
    };
    return read(send({ ...place, method: 'POST', path: '/validateToken', headers, agent, signal }), body);
  }

  /** A repetition is the same call, so that a proof that may be used once is not refused as used before. */
  async function call(body: string): Promise<string> {
    const callId = randomBytes(CALL_ID_BYTES).toString('base64url');
    const signal = AbortSignal.timeout(deadlineMs);
    for (let attempts = 1; ; attempts++) {
      try {
        return await post(body, callId, signal);
      } catch (error) {
        if (attempts === MAX_ATTEMPTS || signal.aborted || error instanceof WrongAnswer) throw error;
        onCall('repeated');
      }
    }
  }

  return {
    async ask(credentials, sent) {
      const question = questionOf(credentials, sent);
      const startedAt = performance.now();
      const tell = (outcome: AuthOutcome): void => onCall(outcome, performance.now() - startedAt);
      let validation: Validation;
      try {
        validation = parseValidation(await call(JSON.stringify(question)));
      } catch (cause) {
        tell('unavailable');
        throw new AppError('AUTH_UNAVAILABLE', { cause, retryAfterSeconds: RETRY_AFTER_SECONDS });
      }
      if ('caller' in validation) {
        tell('accepted');
        return validation.caller;
      }
      tell('refused');
      throw validation.isForeign ? new ForeignToken() : new AppError(validation.code);
    },
    close: () => agent.destroy(),
  };
}

/** @throws AppError UNAUTHORIZED without the proof that a token needs. */
function questionOf(credentials: Credentials, sent: Sent): object {
  if (credentials.scheme === 'cookie') {
    const { cookie, csrfToken } = credentials;
    return { cookie, browser: { ...sent, csrf_token: csrfToken } };
  }
  const { token, scheme, cookie, proof } = credentials;
  if (scheme !== 'dpop') return { token, cookie };
  if (proof === undefined) throw new AppError('UNAUTHORIZED');
  return { token, cookie, dpop: { proof, ...sent } };
}

/** UNAUTHORIZED for a token that does not even claim to be one of those that `/validateToken` knows. */
export class ForeignToken extends AppError {
  constructor() {
    super('UNAUTHORIZED');
  }
}

/** It was answered, but not as the service that knows tokens answers. */
class WrongAnswer extends Error {}

/** @returns the body of an answer of 200. */
function read(asked: ClientRequest, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    asked.on('error', reject);
    asked.on('response', (response) => {
      let text = '';
      const { statusCode } = response;
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER_BYTES) asked.destroy(new WrongAnswer('the answer to /validateToken is too long'));
      });
      response.on('error', reject);
      response.on('end', () => {
        if (statusCode === 200) resolve(text);
        else reject(new WrongAnswer(`/validateToken was answered with ${statusCode}${hintOf(statusCode)}`));
      });
    });
    asked.end(body);
  });
}

function hintOf(status: number | undefined): string {
  if (status === 401) return ': INTERNAL_TOKEN must be the same on both sides';
  return status === 404 ? ': AUTH_URL must lead to the internal listener of a process that serves auth' : '';
}

type Validation = { caller: Caller } | { code: Refusal; isForeign: boolean };

/** Only what is exactly a "yes" is one. */
function parseValidation(text: string): Validation {
  const value = parseObject(text);
  if (value.authenticated === false) {
    const code = REFUSALS.find((known) => known === value.code) ?? 'UNAUTHORIZED';
    return { code, isForeign: value.is_ours === false };
  }
  const { user_id: userId, email, role, session_id: sessionId } = value;
  const isWhole = isText(userId) && isText(email) && isText(sessionId) && (role === 'admin' || role === 'member');
  if (value.authenticated !== true || !isWhole) throw new WrongAnswer('the answer to /validateToken says nothing');
  return { caller: { userId, email, role, sessionId } };
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new WrongAnswer('the answer to /validateToken is not JSON'); // no cause: the parser's message quotes it
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

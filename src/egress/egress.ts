import { connect as netConnect } from 'node:net';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { AppError, type ErrorCode } from '../errors.ts';
import type { AllowEntry } from '../network/allow-list.ts';
import { createConnections } from './connections.ts';
import { createDeadlines } from './deadlines.ts';
import { type Destination, parseDestination, type Rules } from './destination.ts';
import { type Connect, pickDialled } from './dial.ts';
import { createGates } from './gates.ts';
import { createNames } from './names.ts';
import type { EgressAnswer, EgressRequest } from './request.ts';
import { attempt } from './send-once.ts';
import { createCollector } from './spent-buffers.ts';
import { createVet } from './vet.ts';

/** Requests to one destination at once: an origin, and an address with its port. Of each worker. */
const PLACES = 64;
const HOSTS_FILE = '/etc/hosts';
/** Addresses of one name that are looked at. */
const MAX_ADDRESSES = 64;
/** For a look-up where nothing is sent. */
const CHECK_MS = 5_000;
/** How long a verdict counts: what is dialled is what was vetted, so a name that changes meanwhile gains nothing. */
const VERDICT_MS = 1_000;
const MAX_VERDICTS = 1_000;
/** Failures are told at full seconds since the start of the attempt. */
const PAD_MS = 1_000;

/** The only way out: for addresses that strangers name. */
export type Egress = {
  /**
   * Looks whether a request could be sent there now. A name without an address is no failure.
   * @throws AppError INVALID_REQUEST where it is no http or https URL, or has credentials; DESTINATION_FORBIDDEN;
   * DESTINATION_BUSY where too many names are being looked up.
   */
  check(url: string, rules: Rules): Promise<void>;
  /**
   * One attempt: vets the destination, dials an address that was vetted, sends. Not sent twice but for `isRepeatable`, no
   * redirect is followed.
   * @returns the head of the answer, as soon as it is there.
   * @throws AppError as `check`; UPSTREAM_FAILED, alike for everything that is not a matter of time: refused, reset, broken,
   * TLS, no such name; UPSTREAM_TIMEOUT; DESTINATION_BUSY.
   */
  send(request: EgressRequest): Promise<EgressAnswer>;
  /** Ends what is under way as if its time were over. */
  close(): Promise<void>;
  /** Requests under way. */
  readonly size: number;
  /** Those that wait for a place. */
  readonly waiting: number;
};

export const PURPOSES = ['proxy', 'webhooks'] as const satisfies readonly Rules['purpose'][];
export const OUTCOMES = ['answered', 'failed', 'timeout', 'forbidden', 'busy', 'given_up'] as const;
export type Outcome = (typeof OUTCOMES)[number];

export type EgressParts = {
  allowed: readonly AllowEntry[];
  /** Name servers in place of the system's. */
  servers: readonly string[];
  onAttempt(purpose: Rules['purpose'], outcome: Outcome): void;
  connect?: Connect;
  hostsPath?: string;
  verdictMs?: number;
};

/** Addresses that may be dialled, and what requests to them count for. */
type Verdict = { addresses: readonly string[]; gates: readonly string[]; until: number };

export function createEgress(parts: EgressParts): Egress {
  const { allowed, servers, onAttempt, verdictMs = VERDICT_MS } = parts;
  const vet = createVet(allowed);
  const names = createNames(servers, parts.hostsPath ?? HOSTS_FILE);
  const connections = createConnections(parts.connect ?? netConnect);
  const gates = createGates(PLACES);
  const deadlines = createDeadlines();
  const count = createCollector();
  const verdicts = new Map<string, Verdict>();
  let isClosed = false;

  async function judge(destination: Destination, rules: Rules, ms: number, signal?: AbortSignal): Promise<Verdict> {
    const found = await within(names.lookUp(destination.host), ms, signal);
    const addresses = vet(destination, rules, found.slice(0, MAX_ADDRESSES)).map(String);
    const { origin, port } = destination;
    const dialled = pickDialled(addresses).map((address) => `${address} ${port}`);
    return { addresses, gates: [origin, ...dialled], until: performance.now() + verdictMs };
  }

  async function findVerdict(destination: Destination, request: EgressRequest): Promise<Verdict> {
    const { rules, limits, signal } = request;
    const key = verdictKey(destination, rules);
    const verdict = await judge(destination, rules, limits.connectMs, signal);
    if (verdicts.size >= MAX_VERDICTS) verdicts.clear();
    verdicts.set(key, verdict);
    return verdict;
  }

  async function start(request: EgressRequest, isFresh = false): Promise<EgressAnswer> {
    const { url, rules, limits, signal } = request;
    const startedAt = performance.now();
    signal?.throwIfAborted();
    const destination = parseDestination(url, rules);
    const kept = verdicts.get(verdictKey(destination, rules));
    const verdict = kept && kept.until > startedAt ? kept : await findVerdict(destination, request);
    if (verdict.addresses.length === 0) throw new AppError('UPSTREAM_FAILED', { cause: new Error('no such name') });
    signal?.throwIfAborted();
    const foundAt = performance.now();
    const entered = gates.enter(verdict.gates, signal);
    if (entered) await entered;
    if (isClosed) throw new AppError('DRAINING');
    const key = `${rules.purpose} ${destination.origin}`;
    const connection = connections.take(key, { destination, addresses: verdict.addresses }, isFresh);
    if (connection.peer !== '') await letCloseArrive();
    const wasKept = connection.peer !== '';
    const leftMs = (): number => limits.totalMs - (performance.now() - startedAt);
    const answer = attempt({
      connection,
      request,
      deadlines,
      count,
      connectMs: limits.connectMs - (foundAt - startedAt),
      totalMs: leftMs(),
      onEnd(isReusable) {
        gates.leave(verdict.gates);
        connections.put(connection, isReusable);
      },
    });
    if (!wasKept || !request.isRepeatable) return answer;
    return answer.catch((error) => {
      if (!isFailure(error)) throw error;
      return start({ ...request, limits: { ...limits, totalMs: leftMs() } }, true);
    });
  }

  return {
    async check(url, rules) {
      const destination = parseDestination(url, rules);
      await judge(destination, rules, CHECK_MS).catch((error) => {
        if (!isTimeout(error)) throw error;
        vet(destination, rules, []); // nobody answers for the name
      });
    },
    async send(request) {
      const startedAt = performance.now();
      const { purpose } = request.rules;
      for (let index = 0; index < request.headers.length; index += 2) {
        if (request.headers[index]?.toLowerCase() === 'host') throw new TypeError('the URL says what Host is');
      }
      try {
        const answer = await start(request);
        onAttempt(purpose, 'answered');
        return answer;
      } catch (error) {
        const code = error instanceof AppError ? error.code : undefined;
        if (code === 'UPSTREAM_FAILED') await pad(startedAt, request.signal);
        if (code !== 'INVALID_REQUEST') onAttempt(purpose, (code && OUTCOME_OF[code]) ?? 'given_up');
        throw error;
      }
    },
    async close() {
      isClosed = true;
      names.close();
      deadlines.close();
      await connections.close();
    },
    get size() {
      return gates.inside;
    },
    get waiting() {
      return gates.waiting;
    },
  };
}

/**
 * A connection that rested may be closed by now, which the event loop tells only when it has looked at its sockets. It does
 * that between two turns of its other work.
 */
async function letCloseArrive(): Promise<void> {
  await turn();
  await turn();
}

const OUTCOME_OF: Readonly<Partial<Record<ErrorCode, Outcome>>> = {
  UPSTREAM_FAILED: 'failed',
  UPSTREAM_TIMEOUT: 'timeout',
  DESTINATION_FORBIDDEN: 'forbidden',
  DESTINATION_BUSY: 'busy',
};

function verdictKey({ origin }: Destination, { anyPlainHttp }: Rules): string {
  return `${anyPlainHttp} ${origin}`;
}

/** So that the time does not tell a port that refuses from a name that is none, nor either from a broken answer. */
async function pad(startedAt: number, signal: AbortSignal | undefined): Promise<void> {
  const ms = PAD_MS - ((performance.now() - startedAt) % PAD_MS);
  await sleep(ms, undefined, { ...(signal && { signal }) }).catch(() => signal?.throwIfAborted());
}

/** @throws AppError UPSTREAM_TIMEOUT, or the signal's reason. */
async function within<Value>(promise: Promise<Value>, ms: number, signal: AbortSignal | undefined): Promise<Value> {
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(new AppError('UPSTREAM_TIMEOUT')), ms);
  try {
    const any = signal ? AbortSignal.any([signal, end.signal]) : end.signal;
    const ended = new Promise<never>((_resolve, reject) => {
      any.addEventListener('abort', () => reject(any.reason), { once: true });
    });
    return await Promise.race([promise, ended]);
  } finally {
    clearTimeout(timer);
  }
}

function isFailure(error: unknown): boolean {
  return error instanceof AppError && error.code === 'UPSTREAM_FAILED';
}

function isTimeout(error: unknown): boolean {
  return error instanceof AppError && error.code === 'UPSTREAM_TIMEOUT';
}

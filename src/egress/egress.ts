import { connect as netConnect } from 'node:net';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { AppError, type ErrorCode } from '../errors.ts';
import type { AllowEntry } from '../network/allow-list.ts';
import { type Connections, createConnections } from './connections.ts';
import { createDeadlines, type Deadlines } from './deadlines.ts';
import { parseDestination, type Rules } from './destination.ts';
import { type Connect, dial, networkAt, pickDialled } from './dial.ts';
import { createGates, type Gates } from './gates.ts';
import type { Line } from './line.ts';
import { createNames, type Names } from './names.ts';
import type { EgressAnswer, EgressRequest } from './request.ts';
import { formatHead } from './request-head.ts';
import { attempt } from './send-once.ts';
import { createVerdicts, type Verdicts } from './verdicts.ts';
import { createVet } from './vet.ts';

/** Requests of one purpose to one destination at once (an origin, and an address with its port), in each worker. */
const PLACES = 64;
const HOSTS_FILE = '/etc/hosts';
/**
 * By default V8 frees the buffers of bodies, which are outside of its heap, only when more than 64 MiB of them have piled
 * up. With this it looks sooner, and a body of any length adds less than 64 MB of memory (test/processes/proxy.test.ts).
 */
const SOONER_COLLECTION = '--scavenger-max-new-space-capacity-mb=8';
/** For a look-up without a request. */
const CHECK_MS = 5_000;
const VERDICT_MS = 1_000;
/** Failures are reported at full seconds since the start of the attempt. */
const PAD_MS = 1_000;

/** The only way out, for addresses that strangers name. */
export type Egress = {
  /**
   * Checks whether a request could be sent there now. A name without an address passes.
   * @throws AppError INVALID_REQUEST unless it is an http or https URL without credentials; DESTINATION_FORBIDDEN;
   * DESTINATION_BUSY if too many names are being looked up.
   */
  check(url: string, rules: Rules): Promise<void>;
  /**
   * One attempt: vets the destination, dials a vetted address, sends. Sends nothing twice except with `isRepeatable`, and
   * follows no redirect.
   * @returns the head of the answer, as soon as it is there.
   * @throws AppError as `check`; UPSTREAM_FAILED, the same for every failure that is not a matter of time: refused, reset,
   * broken, TLS, no such name; UPSTREAM_TIMEOUT; DESTINATION_BUSY. TypeError for a header that cannot be sent, or that
   * belongs to the connection.
   */
  send(request: EgressRequest): Promise<EgressAnswer>;
  /** Ends the requests under way as if their time were over. */
  close(): Promise<void>;
  /** Requests under way. */
  readonly size: number;
  /** Requests that wait for a place. */
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
  /** How long a request waits for a place. */
  waitMs?: number;
};

/** The look-ups and places of one purpose, so that slow calls of one do not delay those of another. */
type Budget = { names: Names; verdicts: Verdicts; gates: Gates };

export function createEgress(parts: EgressParts): Egress {
  setFlagsFromString(SOONER_COLLECTION);
  const { allowed, servers, onAttempt, hostsPath = HOSTS_FILE, verdictMs = VERDICT_MS } = parts;
  const vet = createVet(allowed);
  const openBudget = (): Budget => {
    const names = createNames(servers, hostsPath);
    return { names, verdicts: createVerdicts(names, vet, verdictMs), gates: createGates(PLACES, parts.waitMs) };
  };
  const budgets = { proxy: openBudget(), webhooks: openBudget() };
  const all = Object.values(budgets);
  const connect = parts.connect ?? netConnect;
  const connections = createConnections();
  const deadlines = createDeadlines();
  const closing = new AbortController();

  return {
    async check(url, rules) {
      const destination = parseDestination(url, rules);
      const patience = { ms: CHECK_MS, signal: undefined };
      await budgets[rules.purpose].verdicts.judge(destination, rules, patience).catch((error) => {
        if (!hasCode(error, 'UPSTREAM_TIMEOUT')) throw error;
        vet(destination, rules, []); // the name has no address
      });
    },
    async send(request) {
      const startedAt = performance.now();
      const { purpose } = request.rules;
      try {
        const means = { ...budgets[purpose], connections, deadlines, connect, closing: closing.signal };
        const answer = await start(means, request);
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
      closing.abort();
      for (const { names } of all) names.close();
      deadlines.close();
      connections.close();
    },
    get size() {
      return all.reduce((sum, { gates }) => sum + gates.inside, 0);
    },
    get waiting() {
      return all.reduce((sum, { gates }) => sum + gates.waiting, 0);
    },
  };
}

type Means = Budget & { connections: Connections; deadlines: Deadlines; connect: Connect; closing: AbortSignal };

async function start(means: Means, request: EgressRequest, isFresh = false): Promise<EgressAnswer> {
  const { verdicts, gates, connections, deadlines, connect, closing } = means;
  const { url, rules, limits, signal } = request;
  const startedAt = performance.now();
  signal?.throwIfAborted();
  const destination = parseDestination(url, rules);
  const head = formatHead(request, destination);
  const patience = { ms: limits.connectMs, signal };
  const verdict = verdicts.recall(destination, rules) ?? (await verdicts.judge(destination, rules, patience));
  const { addresses } = verdict;
  if (addresses.length === 0) throw new AppError('UPSTREAM_FAILED', { cause: new Error('no such name') });
  signal?.throwIfAborted();
  const foundAt = performance.now();
  if (request.admit?.(networkAt(pickDialled(addresses)[0])) === false) throw new AppError('DESTINATION_BUSY');
  const entered = gates.enter(verdict.gates, signal);
  if (entered) await entered;
  if (closing.aborted) throw new AppError('DRAINING', { retryAfterSeconds: 1 });
  const key = `${rules.purpose} ${destination.origin}`;
  const line = isFresh ? undefined : await takeOpen(connections, key, addresses);
  const leftMs = (): number => limits.totalMs - (performance.now() - startedAt);
  const answer = attempt({
    line,
    dial: (onEnd) => dial({ destination, addresses }, connect, onEnd),
    head,
    request,
    deadlines,
    connectMs: limits.connectMs - (foundAt - startedAt),
    totalMs: leftMs(),
    onEnd(kept) {
      gates.leave(verdict.gates);
      if (kept) connections.put(key, kept.line, kept.idleMs);
    },
  });
  if (!line || !request.isRepeatable) return answer;
  return answer.catch((error) => {
    if (!hasCode(error, 'UPSTREAM_FAILED')) throw error;
    return start(means, { ...request, limits: { ...limits, totalMs: leftMs() } }, true);
  });
}

/** A connection at rest that is still open. */
async function takeOpen(
  connections: Connections,
  key: string,
  addresses: readonly string[],
): Promise<Line | undefined> {
  const line = connections.take(key, addresses);
  if (!line) return undefined;
  await letCloseArrive();
  return line.isOver ? undefined : line;
}

/**
 * A connection at rest may be closed by now. The event loop shows that only after it has looked at its sockets, which it
 * does between two turns of its other work.
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

/** The time must not distinguish a port that refuses from a name that does not exist or from a broken answer. */
async function pad(startedAt: number, signal: AbortSignal | undefined): Promise<void> {
  const ms = PAD_MS - ((performance.now() - startedAt) % PAD_MS);
  await sleep(ms, undefined, { ...(signal && { signal }) }).catch(() => signal?.throwIfAborted());
}

function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof AppError && error.code === code;
}

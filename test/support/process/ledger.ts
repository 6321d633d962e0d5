import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, oneShot, send, type Target } from '../http/client.ts';

/** What has to be true of a secret, by what was sent and what was answered. */
type Fate =
  /** Nothing that could end it was ever sent: it must be there. */
  | 'waiting'
  /** What ends it was sent and not answered: it may be there or not. */
  | 'unknown'
  /** A read with an Idempotency-Key was sent, answered or not: who has that key must get it (again). */
  | 'claimed'
  /** Its end was acknowledged: it must never be seen again. */
  | 'ended';

type Entry = {
  readonly value: string;
  readonly secretKey: string;
  readonly receiptKey: string | undefined;
  readonly phrase: string | undefined;
  readonly idempotencyKey: string;
  fate: Fate;
  /** Reads with the Idempotency-Key that may have counted, when the first was sent, and whether one was answered. */
  attempts: number;
  firstAttemptAt: number;
  isGiven: boolean;
};

type Asked = Answer | 'unknown' | 'not sent';

export type Ledger = {
  /** Answers that contradict the books. */
  readonly violations: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  /** Creates, reads, burns and looks back, until told to stop. */
  run(clients: number, signal: AbortSignal): Promise<void>;
  /** With nothing failing any more: reads every secret and compares. */
  audit(): Promise<void>;
};

export type LedgerOptions = {
  /** A proxy sends a DELETE again whose worker has died; the second one finds what the first did. */
  isProxied?: boolean;
  /** Before each request, for a proxy's limits. */
  pauseMs?: number;
};

/** Of the 60 s a copy is kept; the rest is for a busy machine. */
const SAFE_REREAD_MS = 50_000;
const MAX_READS = 5;

/**
 * Books kept outside of the service: every intent before it is sent, every answer after it. A connection that breaks,
 * a 502 and a 503 leave both outcomes open; everything else is held against what came before.
 */
export function createLedger(target: Target, { isProxied = false, pauseMs = 0 }: LedgerOptions = {}): Ledger {
  const entries: Entry[] = [];
  const inUse = new Set<Entry>();
  const violations: string[] = [];
  const counts = { created: 0, read: 0, claimed: 0, reread: 0, burned: 0, unknown: 0, refused: 0, audited: 0 };
  const kept = new Agent({ keepAlive: true });

  function violate(what: string, { value, fate, attempts, isGiven }: Entry, { status, body }: Answer): void {
    const books = `${value} is ${fate}, ${attempts} attempts, given: ${isGiven}`;
    violations.push(`${what}: ${books}; answer: ${status} ${JSON.stringify(body)}`);
  }

  async function ask(
    path: string,
    method: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<Asked> {
    if (pauseMs > 0) await sleep(pauseMs);
    try {
      const agent = chance(0.5) ? kept : oneShot;
      const answer = await send(target, path, body, { method, headers, agent, timeoutMs: 15_000 });
      if (answer.status === 502)
        await sleep(20); // a proxy, with nobody behind it
      else if (answer.status !== 503) return answer;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') {
        counts.refused += 1;
        await sleep(20);
        return 'not sent';
      }
    }
    counts.unknown += 1;
    return 'unknown';
  }

  async function create(): Promise<Entry | undefined> {
    const value = randomBytes(16).toString('hex');
    const phrase = chance(0.05) ? 'a phrase' : undefined;
    const answer = await ask('/generate', 'POST', { secret: value, receipt: chance(0.5), ...(phrase && { phrase }) });
    if (typeof answer === 'string') return undefined;
    const entry: Entry = {
      value,
      secretKey: answer.body.secret_key as string,
      receiptKey: answer.body.receipt_key as string | undefined,
      phrase,
      idempotencyKey: randomBytes(24).toString('base64url'),
      fate: 'waiting',
      attempts: 0,
      firstAttemptAt: 0,
      isGiven: false,
    };
    if (answer.status !== 201) {
      violate('create', entry, answer);
      return undefined;
    }
    counts.created += 1;
    inUse.add(entry);
    entries.push(entry);
    return entry;
  }

  function askFor({ secretKey, phrase }: Entry, headers?: Record<string, string>): Promise<Asked> {
    return ask(`/secrets/${secretKey}`, 'POST', phrase ? { phrase } : {}, headers);
  }

  /** A read without an Idempotency-Key. */
  async function read(entry: Entry): Promise<void> {
    const { fate, isGiven } = entry;
    const mayBeThere = fate !== 'ended' && !isGiven;
    if (mayBeThere) entry.fate = 'unknown';
    const answer = await askFor(entry);
    if (answer === 'not sent') entry.fate = fate;
    if (typeof answer === 'string') return;
    const isRight = answer.status === 200 && answer.body.secret === entry.value;
    if (fate === 'waiting' && !isRight) violate('lost', entry, answer);
    if (!mayBeThere && answer.status !== 404) violate('came back', entry, answer);
    if (!isRight && answer.status !== 404) violate('neither there nor gone', entry, answer);
    if (isRight) counts.read += 1;
    if (isRight || fate === 'unknown') entry.fate = 'ended';
    else entry.fate = fate;
  }

  /** A read with the entry's own Idempotency-Key, the first one or a further one. */
  async function claim(entry: Entry): Promise<void> {
    const before = { ...entry };
    entry.fate = 'claimed';
    entry.attempts += 1;
    if (entry.attempts === 1) entry.firstAttemptAt = performance.now();
    const answer = await askFor(entry, { 'idempotency-key': entry.idempotencyKey });
    if (answer === 'not sent') Object.assign(entry, before);
    if (typeof answer === 'string') return;
    const isDue = entry.attempts <= MAX_READS && performance.now() - entry.firstAttemptAt < SAFE_REREAD_MS;
    if (answer.status === 200 && answer.body.secret === entry.value) {
      counts[entry.isGiven ? 'reread' : 'claimed'] += 1;
      entry.isGiven = true;
    } else if (isDue || answer.status !== 404) violate('not given (again)', entry, answer);
    else entry.fate = 'ended';
  }

  async function burn(entry: Entry): Promise<void> {
    entry.fate = 'unknown';
    const answer = await ask(`/receipts/${entry.receiptKey}`, 'DELETE');
    if (answer === 'not sent') entry.fate = 'waiting';
    if (typeof answer === 'string') return;
    const isRepeated = isProxied && answer.status === 409;
    if (answer.status !== 204 && !isRepeated) violate('not burned', entry, answer);
    counts.burned += 1;
    entry.fate = 'ended';
  }

  async function checkReceipt(entry: Entry): Promise<void> {
    const answer = await ask(`/receipts/${entry.receiptKey}`, 'GET');
    if (typeof answer === 'string') return;
    const isWaiting = answer.body.state === 'waiting';
    const mustWait = entry.fate === 'waiting';
    const mustNotWait = entry.fate === 'ended' || entry.isGiven;
    if (answer.status !== 200 || (mustWait && !isWaiting) || (mustNotWait && isWaiting))
      violate('receipt', entry, answer);
  }

  async function useNew(entry: Entry): Promise<void> {
    const act = Math.random();
    if (act < 0.3) await read(entry);
    else if (act < 0.6) for (let n = 0; n < 3 && !entry.isGiven; n++) await claim(entry);
    else if (act < 0.7 && entry.receiptKey) await burn(entry);
  }

  async function lookBack(entry: Entry): Promise<void> {
    if (entry.fate === 'claimed' && entry.attempts < MAX_READS && chance(0.5)) await claim(entry);
    else if (entry.fate === 'ended' || entry.isGiven) await read(entry);
    if (entry.receiptKey) await checkReceipt(entry);
  }

  async function step(): Promise<void> {
    const fresh = await create();
    if (fresh) await useNew(fresh);
    if (fresh) inUse.delete(fresh);
    const old = entries[Math.floor(entries.length * (1 - Math.random() ** 3))]; // rather one of the last
    if (!old || inUse.has(old)) return;
    inUse.add(old);
    await lookBack(old);
    inUse.delete(old);
  }

  async function auditOne(entry: Entry): Promise<void> {
    if (entry.receiptKey) await checkReceipt(entry);
    if (entry.fate === 'claimed' && entry.attempts < MAX_READS) await claim(entry);
    await read(entry);
    if (entry.fate !== 'claimed') await read(entry); // once more: it has ended by now
    counts.audited += 1;
  }

  return {
    violations,
    counts,
    async run(clients, signal) {
      await times(clients, async () => {
        while (!signal.aborted) await step();
      });
    },
    async audit() {
      const queue = entries.values();
      await times(16, async () => {
        for (const entry of queue) await auditOne(entry);
      });
      kept.destroy();
    },
  };
}

async function times(count: number, work: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: count }, work));
}

function chance(probability: number): boolean {
  return Math.random() < probability;
}

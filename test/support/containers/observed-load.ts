import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, oneShot, send, type Target } from '../http/client.ts';

export type Refusal = { status: number; code: unknown; retryAfterSeconds: number; isOurs: boolean };
export type Load = {
  pairs: number;
  /** Answers other than the right one. */
  refusals: Refusal[];
  /** Broken connections, time-outs, wrong content. */
  failures: string[];
  slowestMs: number;
  /** The longest time in which no client was served. */
  longestGapMs: number;
  stop(): Promise<void>;
};
export type LoadOptions = { clients: number; pauseMs: number; timeoutMs: number };

/** Clients that create and read, one pair after the other, half of them on kept connections, until `stop`. */
export function startLoad(target: Target, { clients, pauseMs, timeoutMs }: LoadOptions): Load {
  const agents: Agent[] = [];
  let isStopping = false;
  let lastServedAt = performance.now();
  const load: Load = {
    pairs: 0,
    refusals: [],
    failures: [],
    slowestMs: 0,
    longestGapMs: 0,
    async stop() {
      isStopping = true;
      await Promise.all(running);
      for (const agent of agents) agent.destroy();
    },
  };

  async function ask(path: string, body: object, agent: Agent, status: number): Promise<Answer | undefined> {
    const askedAt = performance.now();
    try {
      const answer = await send(target, path, body, { agent, timeoutMs });
      if (answer.status === status) return answer;
      load.refusals.push(refusalOf(answer));
    } catch (error) {
      load.failures.push(String(error));
    } finally {
      load.slowestMs = Math.max(load.slowestMs, performance.now() - askedAt);
    }
    return undefined;
  }

  async function pair(agent: Agent): Promise<void> {
    const secret = randomBytes(12).toString('hex');
    const created = await ask('/generate', { secret }, agent, 201);
    const read = created && (await ask(`/secrets/${created.body.secret_key}`, {}, agent, 200));
    if (!read) return;
    if (read.body.secret !== secret) load.failures.push('another secret');
    load.pairs += 1;
    load.longestGapMs = Math.max(load.longestGapMs, performance.now() - lastServedAt);
    lastServedAt = performance.now();
  }

  const running = Array.from({ length: clients }, async (_, client) => {
    const agent = client % 2 === 0 ? oneShot : new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    while (!isStopping) {
      await pair(agent);
      await sleep(pauseMs);
    }
  });
  return load;
}

function refusalOf({ status, headers, body }: Answer): Refusal {
  const isOurs = typeof body.Error === 'string' && body.request_id === headers['x-request-id'];
  return { status, code: body.code, retryAfterSeconds: Number(headers['retry-after'] ?? Number.NaN), isOurs };
}

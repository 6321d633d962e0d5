import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { createSecret, oneShot, readSecret, type Target } from '../http/client.ts';
import { type Program, until, untilReplaced } from './program.ts';

/** Replaces the workers, and waits until that is done. */
export async function roll(program: Program): Promise<void> {
  const before = program.workers();
  const rolls = countRolls(program);
  process.kill(program.primary(), 'SIGHUP');
  await untilReplaced(program, before);
  await until('the end of the roll', () => countRolls(program) > rolls);
}

export function countRolls(program: Program): number {
  return program.stderr().match(/"done replacing/g)?.length ?? 0;
}

export type Load = {
  pairs: number;
  failures: string[];
  stop(): Promise<void>;
};
export type LoadOptions = {
  clients?: number;
  /** A client's agent; default: every second client makes a connection for each request. */
  agent?: (client: number) => Agent;
  /** How long to wait for an answer. */
  timeoutMs?: number;
};

const mixed = (client: number): Agent => (client % 2 === 0 ? oneShot : new Agent({ keepAlive: true, maxSockets: 1 }));

/** Clients that create and read, one pair after the other, until told to stop. */
export function startClients(t: ExecutionContext, target: (client: number) => Target, options: LoadOptions = {}): Load {
  const { clients: count = 40, agent: agentOf = mixed, timeoutMs = 30_000 } = options;
  const agents: Agent[] = [];
  let isStopping = false;
  const load: Load = {
    pairs: 0,
    failures: [],
    async stop() {
      isStopping = true;
      await Promise.all(clients);
      for (const agent of agents) agent.destroy();
    },
  };
  const clients = Array.from({ length: count }, async (_, client) => {
    const agent = agentOf(client);
    agents.push(agent);
    while (!isStopping) {
      const secret = randomBytes(12).toString('hex');
      try {
        const key = await createSecret(target(client), { secret }, { agent, timeoutMs });
        const { status, body } = await readSecret(target(client), key, {}, { agent, timeoutMs });
        if (status !== 200 || body.secret !== secret) throw new Error(`${status} ${JSON.stringify(body)}`);
        load.pairs += 1;
      } catch (error) {
        load.failures.push((error as Error).message);
        await sleep(20);
      }
    }
  });
  t.teardown(load.stop); // a test that fails on the way must not leave them behind: its file would never end
  return load;
}

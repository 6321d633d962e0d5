import { Agent } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { type Nginx, startNginx, withNginx } from '../support/nginx/nginx.ts';
import { countRolls, type Load, roll, startClients } from '../support/process/load.ts';
import { type ReadyProgram, start, until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

/** The service promises ROUNDS=10; a few are enough to see it break. */
const ROUNDS = Number(process.env.ROUNDS ?? 2);
const RESTARTS = Number(process.env.ROUNDS ?? 1);
const CLIENTS = 20;
const WORKERS = 4;

type World = { folder: string; sockets: string; program: ReadyProgram; nginx: Nginx; load: Load };

async function startWorld(t: ExecutionContext): Promise<World> {
  const folder = await temporaryFolder(t);
  const sockets = join(folder, 's');
  const program = await startProgram(t, folder, sockets);
  const nginx = await startNginx(t, { sockets, workers: WORKERS });
  // Each from its own address, because nginx limits requests by address.
  const agent = (client: number): Agent =>
    new Agent({ keepAlive: client % 2 === 0, maxSockets: 1, localAddress: `127.0.1.${client + 1}` });
  return {
    folder,
    sockets,
    program,
    nginx,
    load: startClients(t, () => nginx.base, { clients: CLIENTS, agent, timeoutMs: 15_000 }),
  };
}

function startProgram(t: ExecutionContext, folder: string, sockets: string): Promise<ReadyProgram> {
  return start(t, { folder, env: { SOCKET_DIR: sockets, WORKERS: String(WORKERS), LOG_LEVEL: 'info' } });
}

/** Waits for more pairs than there are clients. */
async function untilServed({ load }: World): Promise<void> {
  const before = load.pairs;
  await until('pairs', () => load.pairs > before + 2 * CLIENTS);
}

withNginx.serial('SIGHUP replaces the workers behind nginx, and no request of 20 clients fails', async (t) => {
  const world = await startWorld(t);
  await untilServed(world);
  for (let round = 1; round <= ROUNDS; round++) {
    await roll(world.program);
    t.is(countRolls(world.program), round);
    await sleep(1_100); // within a second it would be the same signal
  }
  await untilServed(world);
  await world.load.stop();
  t.log(`${world.load.pairs} pairs`);
  t.deepEqual(world.load.failures, []);
});

withNginx.serial('kill -9 of a worker behind nginx fails only the requests that it was handling', async (t) => {
  const world = await startWorld(t);
  const { program, load, nginx } = world;
  const victims: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await untilServed(world);
    const [victim] = program.workers() as [number];
    victims.push(`unix:${world.sockets}/worker-${numberOf(program, victim)}.sock`);
    process.kill(victim, 'SIGKILL');
    await until('its successor', () => program.workers().length === WORKERS && !program.workers().includes(victim));
    await untilServed(world);
  }
  await load.stop();
  const failuresOf = () => nginx.requests().filter(({ status }) => Number(status) >= 500);
  // nginx writes its log a little later.
  await until('what clients saw, in the log of nginx', () => failuresOf().length === load.failures.length);
  const failures = failuresOf();
  // The requests that a worker was handling were sent to it and then to no other one.
  const isOfVictim = (upstream: unknown): boolean => victims.some((socket) => String(upstream).endsWith(socket));
  t.deepEqual(
    failures.filter(({ status, upstream }) => status !== 502 || !isOfVictim(upstream)),
    [],
  );
  t.true(failures.length <= ROUNDS * CLIENTS, `${failures.length} failures`);
  t.log(`${load.pairs} pairs, ${failures.length} failures`);
  for (const failure of load.failures) t.regex(failure, /^502 .*"code":"NO_WORKER"/);
});

withNginx.serial(
  'while the program restarts behind nginx, clients get answers that ask them to try again',
  async (t) => {
    const world = await startWorld(t);
    const { folder, sockets, load } = world;
    let program = world.program;
    for (let round = 0; round < RESTARTS; round++) {
      await untilServed(world);
      program.signal('SIGTERM');
      await program.exit;
      program = await startProgram(t, folder, sockets);
    }
    await untilServed(world);
    await load.stop();
    t.log(`${load.pairs} pairs, ${load.failures.length} failures`);
    t.deepEqual(
      load.failures.filter((failure) => !/^50[23] .*"code":"(?:NO_WORKER|DRAINING)"/.test(failure)),
      [],
    );
  },
);

function numberOf(program: ReadyProgram, pid: number): number {
  const line = program
    .stderr()
    .split('\n')
    .findLast((line) => line.includes(`"workerPid":${pid},`));
  return JSON.parse(line ?? '{}').worker;
}

import { randomInt } from 'node:crypto';
import type { Config } from '../../config/config.ts';
import { whyNoProxy } from '../../keys/token-key.ts';
import type { Log } from '../../ops/log.ts';
import { chooseFirstName } from '../internal-socket.ts';
import { type Door, INTERNAL_FIRST_NAME, type ToPrimary } from '../ipc.ts';
import { type Child, send } from './children.ts';
import { countCores } from './cores.ts';
import { createEnding } from './ending.ts';
import { createRoll } from './roll.ts';
import { obeySignals } from './signals.ts';
import { createSlotBroker } from './slot-broker.ts';
import { createSockets, type Sockets, sayTaken } from './sockets.ts';
import { createProgramTotals } from './totals.ts';
import { tryToListen } from './try-listen.ts';
import { createWorkers } from './workers.ts';

/**
 * The primary: keeps the workers running, passes orders on, adds up their counts. It opens no storage and serves
 * nothing, so that nothing in it can break.
 */
export async function runPrimary(config: Config, log: Log): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}); // its reader may go away
  const count = config.WORKERS ?? countCores();
  const port = config.SOCKET_DIR ? 0 : config.HTTP_PORT || (await findFreePort(config));
  const broker = createSlotBroker<Child>(countCores(), (child) => send(child, { type: 'slot' }));
  const totals = createProgramTotals(count);
  const workers = createWorkers({
    count,
    env: {
      HTTP_PORT: String(port),
      get [INTERNAL_FIRST_NAME]() {
        return sockets.firstName;
      },
    },
    log,
    onMessage,
    onExit,
    onAllReady() {
      isAnnounced = true;
      announce(config, port, count);
    },
    onHopeless,
  });
  const sockets: Sockets = createSockets({
    workers,
    log,
    chooseFirstName: () => (config.INTERNAL_PORT === undefined ? chooseFirstName(config.DATA_DIR) : ''),
    onTaken,
  });
  const ending = createEnding({ workers, log });
  let isAnnounced = false;
  let reason = 'its workers die as soon as they start';

  function onMessage(child: Child, message: ToPrimary): void {
    if (message.type === 'want-slot') broker.want(child);
    else if (message.type === 'free-slot') broker.free(child);
    else if (message.type === 'report') totals.onReport(child, message.report);
    else if (message.type === 'want-totals') totals.tell(child, message.id, workers);
    else if (message.type === 'bound') sockets.onBound(child, message);
    else if (message.type === 'hopeless') reason = message.reason;
  }

  function onExit(child: Child): void {
    broker.forget(child);
    totals.forget(child);
    if (workers.isStopping()) ending.exitIfAlone();
    else totals.onRestart(child.order ? 'replaced' : 'died');
  }

  /** At the start this program was the second one; later it goes on, because most of it still works. */
  function onTaken(door: Door, path: string): void {
    log.error({ path }, 'another program has taken the socket; it is bound again when that program has ended');
    if (!isAnnounced) ending.giveUp(sayTaken(door, path));
  }

  function onHopeless(): void {
    log.fatal('workers die as soon as they start: giving up');
    ending.giveUp(reason);
  }

  obeySignals({ stop: ending.stop, kill: ending.killAll, roll: createRoll({ workers, count, log }) });
  const whyNot = config.SERVICES.includes('proxy') ? whyNoProxy(config) : undefined;
  if (whyNot) log.info(whyNot);
  workers.startAll();
}

function announce(config: Config, port: number, count: number): void {
  const workers = count === 1 ? '1 worker' : `${count} workers`;
  process.stdout.write(`Hushbox is ready on ${describeAddress(config, port)} (${workers})\n`);
}

/**
 * Port 0 is resolved here, because later workers must listen where the first ones did. Outgoing connections get their
 * ports from 32768 up, so none of them can take this port while no worker lives.
 */
async function findFreePort({ HOST, INTERNAL_PORT }: Config): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_768);
    // The workers report other failures.
    if (port !== INTERNAL_PORT && (await tryToListen(port, HOST)) !== 'EADDRINUSE') return port;
  }
}

function describeAddress({ SOCKET_DIR, HOST }: Config, port: number): string {
  if (SOCKET_DIR) return `unix:${SOCKET_DIR}/worker-N.sock`;
  return `http://${HOST.includes(':') ? `[${HOST}]` : HOST}:${port}`;
}

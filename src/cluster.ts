import cluster, { type Worker } from 'node:cluster';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from './config.ts';
import { countCores } from './cores.ts';
import { EXIT_HOPELESS, type ToPrimary, type ToWorker, WORKER_NUMBER } from './ipc.ts';
import { watchMake } from './make-watch.ts';
import type { Log } from './ops/log.ts';
import { createSlotBroker } from './slot-broker.ts';

const PING_INTERVAL_MS = 1_000;
/** A worker that leaves this many pings in a row unanswered hangs. */
const MAX_MISSED_PINGS = 10;
/** A worker that dies sooner after its start counts as failed. */
const YOUNG_MS = 5_000;
/** So many failures in a row, with no worker ready, end the program: its supervisor must see them. */
const MAX_FAILURES = 6;
const BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 30_000;
/** A replacement that is not ready by then is given up, and the roll with it. */
const REPLACE_DEADLINE_MS = 30_000;
/** The whole program ends within 10 s of SIGTERM; workers stop by themselves after 9. */
const STOP_DEADLINE_MS = 9_700;
/** The same signal again within this time is the same order: make and the terminal both deliver it. */
const REPEAT_MS = 1_000;

type Child = { worker: Worker; number: number; startedAt: number; missedPings: number; isReady: boolean };

/**
 * The primary: starts the workers, replaces those that die or hang, passes orders on. Opens no storage and serves
 * nothing, so that there is nothing in it to break.
 */
export async function runPrimary(config: Config, log: Log): Promise<void> {
  const count = config.WORKERS ?? countCores();
  const port = config.SOCKET_DIR ? 0 : config.HTTP_PORT || (await findFreePort(config.HOST));
  const children = new Set<Child>();
  const current = new Map<number, Child>();
  const broker = createSlotBroker<Child>(countCores(), (child) => tell(child, { type: 'slot' }));
  const beingReplaced = new Set<number>();
  let failures = 0;
  let isAnnounced = false;
  let isStopping = false;
  let isRolling = false;
  let isRollWanted = false;

  function start(number: number): Child {
    const env = { [WORKER_NUMBER]: String(number), ...(port > 0 && { HTTP_PORT: String(port) }) };
    const child = { worker: cluster.fork(env), number, startedAt: performance.now(), missedPings: 0, isReady: false };
    children.add(child);
    child.worker.on('message', (message: ToPrimary) => receive(child, message));
    child.worker.on('exit', (code, signal) => bury(child, code, signal));
    child.worker.on('error', (err) => log.warn({ err, worker: number }, 'worker cannot be reached'));
    return child;
  }

  function startCurrent(number: number): void {
    if (!isStopping && !current.has(number)) current.set(number, start(number));
  }

  function receive(child: Child, message: ToPrimary): void {
    if (message.type === 'pong') child.missedPings = 0;
    else if (message.type === 'want-slot') broker.want(child);
    else if (message.type === 'free-slot') broker.free(child);
    else if (message.type === 'ready') welcome(child);
    else if (!isAnnounced) {
      process.stderr.write(`Hushbox cannot start: ${message.reason}\n`);
    }
  }

  function welcome(child: Child): void {
    child.isReady = true;
    failures = 0;
    log.info({ worker: child.number, workerPid: child.worker.process.pid }, 'worker is ready');
    const isComplete = current.size === count && [...current.values()].every(({ isReady }) => isReady);
    if (isAnnounced || !isComplete) return;
    isAnnounced = true;
    process.stdout.write(`Hushbox is ready on ${describeAddress(config, port)} (${count} workers)\n`);
  }

  function bury(child: Child, code: number | null, signal: string | null): void {
    children.delete(child);
    broker.forget(child);
    if (isStopping) {
      if (children.size === 0) process.exit(0);
      return;
    }
    if (current.get(child.number) !== child) return; // it was told to leave
    current.delete(child.number);
    log.error({ worker: child.number, code, signal }, 'worker died');
    const isYoung = performance.now() - child.startedAt < YOUNG_MS;
    if (!child.isReady || (isYoung && signal !== 'SIGKILL')) failures += 1;
    const isAnyReady = [...current.values()].some(({ isReady }) => isReady);
    if (!isAnyReady && (failures >= MAX_FAILURES || (code === EXIT_HOPELESS && !isAnnounced))) {
      log.fatal({ failures }, 'workers die as soon as they start: giving up');
      kill();
      process.exit(1);
    }
    if (!beingReplaced.has(child.number)) restart(child.number);
  }

  function restart(number: number): void {
    const delayMs = failures === 0 ? 0 : Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** (failures - 1));
    setTimeout(() => startCurrent(number), delayMs * (0.75 + Math.random() / 2));
  }

  function ping(): void {
    for (const child of children) {
      child.missedPings += 1;
      if (child.missedPings > MAX_MISSED_PINGS) {
        log.error({ worker: child.number }, 'worker hangs: killed');
        child.worker.process.kill('SIGKILL');
      } else tell(child, { type: 'ping' });
    }
  }

  /** Replaces one worker after the other; each leaves only when its successor is ready. */
  async function roll(): Promise<void> {
    isRollWanted = true;
    if (isRolling) return;
    isRolling = true;
    while (isRollWanted) {
      isRollWanted = false;
      log.info('replacing the workers');
      for (let number = 1; number <= count && !isStopping; number++) {
        if (await replace(number)) continue;
        log.error({ worker: number }, 'its replacement did not become ready: the others stay as they are');
        break;
      }
      log.info('done replacing');
    }
    isRolling = false;
  }

  async function replace(number: number): Promise<boolean> {
    beingReplaced.add(number);
    const fresh = start(number);
    const isReady = await becomesReady(fresh);
    beingReplaced.delete(number);
    const old = current.get(number);
    if (!isReady) {
      fresh.worker.process.kill('SIGKILL');
      if (!old) restart(number);
      return false;
    }
    current.set(number, fresh);
    if (old && !isStopping) await leave(old);
    return true;
  }

  async function becomesReady(child: Child): Promise<boolean> {
    const deadline = performance.now() + REPLACE_DEADLINE_MS;
    while (!child.isReady && children.has(child) && performance.now() < deadline) await sleep(10);
    return child.isReady && children.has(child);
  }

  async function leave(child: Child): Promise<void> {
    tell(child, { type: 'drain' });
    const deadline = performance.now() + STOP_DEADLINE_MS;
    while (children.has(child) && performance.now() < deadline) await sleep(10);
    if (children.has(child)) child.worker.process.kill('SIGKILL');
  }

  function stop(): void {
    isStopping = true;
    log.info('ending: what is under way is answered first');
    if (children.size === 0) process.exit(0);
    for (const child of children) tell(child, { type: 'drain' });
    setTimeout(() => {
      log.error('workers did not end in time: killed');
      kill();
      process.exit(1);
    }, STOP_DEADLINE_MS);
  }

  function kill(): void {
    for (const { worker } of children) worker.process.kill('SIGKILL');
  }

  const isFromTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const lastAt = { stop: Number.NEGATIVE_INFINITY, roll: Number.NEGATIVE_INFINITY };
  function obey(signal: NodeJS.Signals): void {
    const order = signal === 'SIGHUP' && !isFromTerminal ? 'roll' : 'stop';
    const now = performance.now();
    const isRepeat = now - lastAt[order] < REPEAT_MS;
    if (isRepeat) return;
    lastAt[order] = now;
    if (order === 'roll') void roll();
    else if (!isStopping) stop();
    else {
      kill();
      process.exit(1);
    }
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, obey);
  watchMake(obey);
  setInterval(ping, PING_INTERVAL_MS);
  for (let number = 1; number <= count; number++) startCurrent(number);
}

function tell({ worker }: Child, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => {}); // one that is going away is buried soon
}

/** Port 0 is resolved here: workers that come later must listen where the first ones did. */
function findFreePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, host, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}

function describeAddress({ SOCKET_DIR, HOST }: Config, port: number): string {
  if (SOCKET_DIR) return `unix:${SOCKET_DIR}/worker-N.sock`;
  return `http://${HOST.includes(':') ? `[${HOST}]` : HOST}:${port}`;
}

import cluster, { type Worker } from 'node:cluster';
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config/config.ts';
import { whyNoProxy } from '../../keys/token-key.ts';
import type { Log } from '../../ops/log.ts';
import type { Samples } from '../../ops/metrics/families.ts';
import type { Report } from '../../ops/metrics/meters.ts';
import { createTotals } from '../../ops/metrics/totals.ts';
import { chooseFirstName } from '../internal-socket.ts';
import {
  type DrainOrder,
  EXIT_HOPELESS,
  INTERNAL_FIRST_NAME,
  type ToPrimary,
  type ToWorker,
  WORKER_NUMBER,
} from '../ipc.ts';
import { countCores } from './cores.ts';
import { obeySignals } from './signals.ts';
import { createSlotBroker } from './slot-broker.ts';
import { tryToListen } from './try-listen.ts';

const PING_INTERVAL_MS = 1_000;
/** A worker that leaves this many pings in a row unanswered hangs; one that has not come up yet gets more time. */
const MAX_MISSED_PINGS = 6;
const MAX_MISSED_PINGS_AT_START = 30;
/** A worker that dies sooner after its start has failed. */
const YOUNG_MS = 5_000;
/** So many failures in a row end the program: its supervisor must see them. */
const MAX_FAILURES = 6;
const BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 30_000;
/** A replacement that is not ready by then is given up, and the roll with it. */
const REPLACE_DEADLINE_MS = 30_000;

/** The whole program ends within 10 s of SIGTERM. */
const STOP: DrainOrder = { type: 'drain', acceptMs: 7_500, deadlineMs: 8_500 };
const STOP_DEADLINE_MS = 9_700;
/** A worker that was replaced has as long as any request may take; the roll waits for it only a while. */
const LEAVE: DrainOrder = { type: 'drain', acceptMs: 1_000, deadlineMs: 65_000 };
const LEAVE_DEADLINE_MS = 66_000;
const LEAVE_WAIT_MS = 10_000;
const KILL_WAIT_MS = 500;

type Child = {
  worker: Worker;
  number: number;
  startedAt: number;
  missedPings: number;
  /** Whether it can be told anything. */
  isUp: boolean;
  isReady: boolean;
  /** How things stood at its last report. */
  gauges: Samples;
  /** Set when it has to leave. */
  order: DrainOrder | undefined;
  /** Whether a signal meant for the whole process group hit it before it could ignore it. */
  wasHit: boolean;
};

/**
 * The primary: starts the workers, replaces those that die or hang, passes orders on. Opens no storage and serves
 * nothing, so that there is nothing in it to break.
 * @param makePid the make that started us, where one did.
 */
export async function runPrimary(config: Config, makePid: number | undefined, log: Log): Promise<void> {
  // Workers take connections from the kernel. Were they handed out by us, one on its way to a worker that is killed
  // or hangs would stay open for ever with nobody to answer it.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  const count = config.WORKERS ?? countCores();
  const children = new Set<Child>();
  const current = new Map<number, Child>();
  const beingReplaced = new Set<number>();
  /** By worker number, how often in a row it failed. */
  const failures = new Map<number, number>();
  const broker = createSlotBroker<Child>(countCores(), (child) => tell(child, { type: 'slot' }));
  const port = config.SOCKET_DIR ? 0 : config.HTTP_PORT || (await findFreePort(config));
  const internalName = config.INTERNAL_PORT === undefined ? chooseFirstName(config.DATA_DIR) : '';
  const totals = createTotals();
  totals.add({ hushbox_worker_restarts_total: { died: [0], replaced: [0] } }); // an alert compares with it
  let reason: string | undefined;
  let isAnnounced = false;
  let isStopping = false;
  let isRolling = false;
  let isRollWanted = false;
  let exitCode = 0;

  function start(number: number): Child {
    const worker = cluster.fork({
      [WORKER_NUMBER]: String(number),
      [INTERNAL_FIRST_NAME]: internalName,
      HTTP_PORT: String(port),
    });
    const child: Child = {
      worker,
      number,
      startedAt: performance.now(),
      missedPings: 0,
      isUp: false,
      isReady: false,
      gauges: {},
      order: undefined,
      wasHit: false,
    };
    children.add(child);
    worker.on('message', (message: ToPrimary) => receive(child, message));
    worker.on('exit', (code, signal) => bury(child, code, signal));
    worker.on('error', (err) => {
      if (worker.process.pid !== undefined) return log.warn({ err, worker: number }, 'worker cannot be reached');
      log.error({ err, worker: number }, 'worker cannot be started');
      bury(child, null, null); // no exit follows
    });
    return child;
  }

  /** Without memory or descriptors there can be no process at all: for a while, mostly. */
  function tryStart(number: number): Child | undefined {
    try {
      return start(number);
    } catch (err) {
      log.error({ err, worker: number }, 'worker cannot be started');
      return undefined;
    }
  }

  function startCurrent(number: number): void {
    if (isStopping || current.has(number) || beingReplaced.has(number)) return;
    const child = tryStart(number);
    if (child) current.set(number, child);
    else {
      failures.set(number, failuresOf(number) + 1);
      goOn(number, null);
    }
  }

  function receive(child: Child, message: ToPrimary): void {
    child.missedPings = 0;
    if (message.type === 'up') greet(child);
    else if (message.type === 'ready') welcome(child);
    else if (message.type === 'want-slot') broker.want(child);
    else if (message.type === 'free-slot') broker.free(child);
    else if (message.type === 'report') take(child, message.report);
    else if (message.type === 'want-totals') tell(child, { type: 'totals', id: message.id, totals: readTotals() });
    else if (message.type === 'hopeless') reason = message.reason;
  }

  function take(child: Child, { counts, gauges }: Report): void {
    totals.add(counts);
    child.gauges = gauges;
  }

  function readTotals(): Samples {
    const own: Samples = {
      hushbox_start_time_seconds: { '': [performance.timeOrigin / 1000] },
      hushbox_workers_wanted: { '': [count] },
      hushbox_workers_ready: { '': [[...current.values()].filter(isReady).length] },
    };
    return totals.read([own, ...[...children].map(({ gauges }) => gauges)]);
  }

  function greet(child: Child): void {
    child.isUp = true;
    if (child.order) tell(child, child.order);
  }

  function welcome(child: Child): void {
    child.isReady = true;
    log.info({ worker: child.number, workerPid: child.worker.process.pid }, 'worker is ready');
    announce();
  }

  function announce(): void {
    if (isAnnounced || isStopping || current.size < count || ![...current.values()].every(isReady)) return;
    isAnnounced = true;
    process.stdout.write(`Hushbox is ready on ${describeAddress(config, port)} (${count} workers)\n`);
  }

  function bury(child: Child, code: number | null, signal: string | null): void {
    const { number } = child;
    children.delete(child);
    broker.forget(child);
    child.wasHit = !child.isUp && (signal === 'SIGHUP' || signal === 'SIGINT' || signal === 'SIGTERM');
    if (isStopping) {
      if (children.size === 0) process.exit(exitCode);
      return;
    }
    totals.add({ hushbox_worker_restarts_total: { [child.order ? 'replaced' : 'died']: [1] } });
    if (child.order) return;
    log.error({ worker: number, code, signal }, 'worker died');
    if (current.get(number) !== child) return; // a replacement: `replace` sees it
    current.delete(number);
    failures.set(number, hasFailed(child, signal) ? failuresOf(number) + 1 : 0);
    goOn(number, code);
  }

  function goOn(number: number, code: number | null): void {
    if (isHopeless(code)) giveUp();
    else restart(number);
  }

  function failuresOf(number: number): number {
    return failures.get(number) ?? 0;
  }

  function isHopeless(code: number | null): boolean {
    const failed = Array.from({ length: count }, (_, index) => failuresOf(index + 1) >= MAX_FAILURES);
    if (!isAnnounced) return code === EXIT_HOPELESS || failed.includes(true);
    return !failed.includes(false) && ![...current.values()].some(isReady);
  }

  function giveUp(): void {
    log.fatal('workers die as soon as they start: giving up');
    process.stderr.write(`Hushbox cannot run: ${reason ?? 'its workers die as soon as they start'}\n`);
    kill();
  }

  function restart(number: number): void {
    const failed = failuresOf(number);
    const delayMs = failed === 0 ? 0 : Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** (failed - 1));
    setTimeout(() => startCurrent(number), delayMs * (0.75 + Math.random() / 2));
  }

  // Counts pings, not time: after a stop of the whole program nobody has missed any.
  function ping(): void {
    for (const child of children) {
      child.missedPings += 1;
      if (child.missedPings > (child.isUp ? MAX_MISSED_PINGS : MAX_MISSED_PINGS_AT_START)) {
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
    while (isRollWanted && !isStopping) {
      isRollWanted = false;
      log.info('replacing the workers');
      log.info({ isComplete: await replaceAll() }, 'done replacing the workers');
    }
    isRolling = false;
  }

  async function replaceAll(): Promise<boolean> {
    for (let number = 1; number <= count && !isStopping; number++) {
      if (await replace(number)) continue;
      log.error({ worker: number }, 'its replacement did not become ready: the others stay as they are');
      return false;
    }
    return !isStopping;
  }

  async function replace(number: number): Promise<boolean> {
    beingReplaced.add(number);
    const fresh = await startReplacement(number);
    beingReplaced.delete(number);
    const old = current.get(number);
    if (!fresh) {
      if (!old) restart(number);
      return false;
    }
    current.set(number, fresh);
    announce();
    if (old && !isStopping) await leave(old);
    return true;
  }

  async function startReplacement(number: number): Promise<Child | undefined> {
    for (;;) {
      const fresh = tryStart(number);
      if (!fresh) return undefined;
      if (await becomesReady(fresh)) return fresh;
      fresh.worker.process.kill('SIGKILL');
      if (!fresh.wasHit || isStopping) return undefined;
    }
  }

  async function becomesReady(child: Child): Promise<boolean> {
    const deadline = performance.now() + REPLACE_DEADLINE_MS;
    while (!child.isReady && children.has(child) && performance.now() < deadline) await sleep(10);
    return child.isReady && children.has(child);
  }

  async function leave(child: Child): Promise<void> {
    dismiss(child, LEAVE);
    setTimeout(() => child.worker.process.kill('SIGKILL'), LEAVE_DEADLINE_MS).unref();
    const deadline = performance.now() + LEAVE_WAIT_MS;
    while (children.has(child) && performance.now() < deadline) await sleep(10);
  }

  function stop(): void {
    isStopping = true;
    log.info('ending: what is under way is answered first');
    if (children.size === 0) process.exit(exitCode);
    for (const child of children) dismiss(child, STOP);
    setTimeout(() => {
      log.error('workers did not end in time: killed');
      kill();
    }, STOP_DEADLINE_MS);
  }

  /** Ends everything now, as a failure. */
  function kill(): void {
    isStopping = true;
    exitCode = 1;
    if (children.size === 0) process.exit(exitCode);
    for (const { worker } of children) worker.process.kill('SIGKILL');
    setTimeout(() => process.exit(exitCode), KILL_WAIT_MS);
  }

  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}); // nobody reads it any more
  obeySignals({ stop, kill, roll }, makePid);
  const whyNot = whyNoProxy(config);
  if (whyNot) log.warn(whyNot);
  setInterval(ping, PING_INTERVAL_MS);
  for (let number = 1; number <= count; number++) startCurrent(number);
}

function isReady(child: Child): boolean {
  return child.isReady;
}

/** One that was killed while it served did nothing wrong. */
function hasFailed({ isUp, isReady, startedAt, wasHit }: Child, signal: string | null): boolean {
  if (wasHit) return false;
  if (!isUp) return true;
  return performance.now() - startedAt < YOUNG_MS && !(isReady && signal === 'SIGKILL');
}

function dismiss(child: Child, order: DrainOrder): void {
  child.order = order;
  tell(child, order);
}

function tell({ worker }: Child, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => {}); // one that is going away is buried soon
}

/**
 * Port 0 is resolved here, for workers that come later must listen where the first ones did. Outgoing connections get
 * their ports from 32768 on: none of them can take ours while no worker lives.
 */
async function findFreePort({ HOST, INTERNAL_PORT }: Config): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_768);
    // Other failures are for the workers to tell.
    if (port !== INTERNAL_PORT && (await tryToListen(port, HOST)) !== 'EADDRINUSE') return port;
  }
}

function describeAddress({ SOCKET_DIR, HOST }: Config, port: number): string {
  if (SOCKET_DIR) return `unix:${SOCKET_DIR}/worker-N.sock`;
  return `http://${HOST.includes(':') ? `[${HOST}]` : HOST}:${port}`;
}

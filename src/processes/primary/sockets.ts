import { pulse } from '../../clock.ts';
import { type Bound, identify, isInUse } from '../../http/socket-file.ts';
import type { Log } from '../../ops/log.ts';
import type { Door, ToPrimary } from '../ipc.ts';
import { type Child, send } from './children.ts';
import type { Workers } from './workers.ts';

const LOOK_MS = 2_000;
/** How long workers have to bind a socket before they are ordered to do so again. */
const ORDER_AGAIN_MS = 5_000;
/** A successor's socket is at the path before its message has arrived here: only the second look in a row counts. */
const LOOKS_UNTIL_TAKEN = 2;

export type BoundMessage = Extract<ToPrimary, { type: 'bound' }>;

export type SocketsParts = {
  workers: Workers;
  log: Log;
  /** A new name under which the workers bind the internal socket. @throws if its folder is gone. */
  chooseFirstName(): string;
  /** Another program listens on a socket of this one. */
  onTaken(door: Door, path: string): void;
};

export type Sockets = {
  /** The name that new workers get. */
  readonly firstName: string;
  onBound(child: Child, message: BoundMessage): void;
};

/** A sentence for the operator of the second program: what is in use, and what to set. */
export function sayTaken(door: Door, path: string): string {
  const advice = door === 'public' ? 'SOCKET_DIR to another folder' : 'DATA_DIR to another folder, or INTERNAL_PORT';
  return `Another program listens on ${path}. Set ${advice}`;
}

/** A path on which this program listens. */
type Place = {
  door: Door;
  path: string;
  child: Child;
  /** What is at the path, as `identify` names it; undefined if another program has it. */
  file: string | undefined;
  looksTaken: number;
  orderedAt: number | undefined;
};

/**
 * Looks after the sockets on which the workers listen. If the file of one was removed or replaced, the workers bind it
 * again, unless another program listens on it by now; then they do so when that program has ended.
 */
export function createSockets(parts: SocketsParts): Sockets {
  const { workers, log } = parts;
  const places = new Map<string, Place>();
  let firstName = parts.chooseFirstName();

  function onBound(child: Child, { door, path, firstName: name, bound }: BoundMessage): void {
    if (door === 'internal' && name !== firstName) send(child, { type: 'bind', door, firstName });
    else if (bound !== 'shared') onOwnBound(child, door, path, bound);
  }

  function onOwnBound(child: Child, door: Door, path: string, bound: Exclude<Bound, 'shared'>): void {
    const file = bound === 'taken' ? undefined : bound.file;
    if (file && places.get(path)?.orderedAt !== undefined) log.info({ path }, 'the socket is bound again');
    places.set(path, { door, path, child, file, looksTaken: 0, orderedAt: undefined });
    if (!file) parts.onTaken(door, path);
  }

  async function look(place: Place): Promise<void> {
    const { door, path, child, file } = place;
    const found = identify(path);
    if (door === 'public' && (!workers.all.has(child) || child.order)) places.delete(path);
    else if (found !== undefined && found === file) place.looksTaken = 0;
    else if (found !== undefined && (await isInUse(path))) {
      place.looksTaken += 1;
      if (file && place.looksTaken === LOOKS_UNTIL_TAKEN) parts.onTaken(door, path);
    } else if (places.get(path) === place) heal(place);
  }

  function heal(place: Place): void {
    const { door, path, child, orderedAt } = place;
    const now = performance.now();
    if (orderedAt !== undefined && now - orderedAt < ORDER_AGAIN_MS) return;
    if (orderedAt === undefined) log.warn({ path }, 'the file of the socket was removed or replaced: binding it again');
    place.orderedAt = now;
    if (door === 'public') send(child, { type: 'bind', door });
    else {
      firstName = parts.chooseFirstName();
      for (const each of workers.all) send(each, { type: 'bind', door, firstName });
    }
  }

  async function lookForEver(): Promise<void> {
    while (!workers.isStopping()) {
      await pulse(LOOK_MS);
      for (const place of places.values()) {
        if (!workers.isStopping()) await look(place).catch(() => {}); // its folder cannot be looked into right now
      }
    }
  }

  void lookForEver();
  return {
    get firstName() {
      return firstName;
    },
    onBound,
  };
}

import type { Line } from './line.ts';

/** Connections kept open without a request; the one that has been idle longest is closed first. */
const MAX_IDLE = 256;

export type Connections = {
  /**
   * An idle connection to an address that may still be dialled. It is to be given a user, or it ends when something
   * arrives.
   * @param key connections with the same key may serve each other's requests.
   */
  take(key: string, addresses: readonly string[]): Line | undefined;
  /** Keeps a connection whose request is over. */
  put(key: string, line: Line, idleMs: number): void;
  close(): void;
};

type Resting = { key: string; line: Line; timer: NodeJS.Timeout };

/** Connections that are kept for later requests, each for one request at a time. */
export function createConnections(): Connections {
  const resting = new Map<string, Resting[]>();
  const inOrder = new Set<Resting>();

  function forget(entry: Resting): void {
    clearTimeout(entry.timer);
    inOrder.delete(entry);
    const others = resting.get(entry.key)?.filter((other) => other !== entry) ?? [];
    if (others.length > 0) resting.set(entry.key, others);
    else resting.delete(entry.key);
  }

  function drop(entry: Resting): void {
    if (inOrder.has(entry)) forget(entry);
    entry.line.destroy();
  }

  return {
    take(key, addresses) {
      const entry = resting.get(key)?.findLast(({ line }) => addresses.includes(line.peer));
      if (!entry) return undefined;
      forget(entry);
      entry.line.setIdle(false);
      return entry.line;
    },
    put(key, line, idleMs) {
      const entry: Resting = { key, line, timer: setTimeout(() => drop(entry), idleMs).unref() };
      line.setIdle(true);
      line.use({
        onReadable() {
          if (line.read() !== null) drop(entry); // nobody asked for it
        },
        onDrain() {},
        onOver: () => drop(entry),
      });
      const others = resting.get(key);
      if (others) others.push(entry);
      else resting.set(key, [entry]);
      inOrder.add(entry);
      const [oldest] = inOrder.size > MAX_IDLE ? inOrder : [];
      if (oldest) drop(oldest);
    },
    close() {
      for (const entry of inOrder) drop(entry);
    },
  };
}

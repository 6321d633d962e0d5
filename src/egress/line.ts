import type { Socket } from 'node:net';

/** Whoever has its turn on a line. */
export type LineUser = {
  /** Something has arrived, or the line is over: it is to be read until `read` returns null. */
  onReadable(): void;
  onDrain(): void;
  /** Everything that arrived has been read. @param error undefined only if the other side ended the connection properly. */
  onOver(error: Error | undefined): void;
};

/** A connection, whose failures come in order: what arrived before one is read before it. */
export type Line = {
  /** The address at the other end. */
  readonly peer: string;
  readonly isOver: boolean;
  /** The user from now on. */
  use(user: LineUser): void;
  read(): Buffer | null;
  /** @returns false if it is better to wait for `onDrain`. */
  write(...parts: readonly (string | Uint8Array)[]): boolean;
  /** An idle line does not keep the process alive. */
  setIdle(isIdle: boolean): void;
  destroy(): void;
};

type Parts = {
  /** Of TCP: under `socket`, or the same. */
  wire: Socket;
  peer: string;
  /** Why the end of the connection cannot be trusted, if so. */
  whyBroken(): Error | undefined;
};

export function createLine(socket: Socket, { wire, peer, whyBroken }: Parts): Line {
  let user: LineUser = { onReadable() {}, onDrain() {}, onOver() {} };
  let end: { error: Error | undefined } | undefined;
  let isReported = false;

  function finish(error: Error | undefined): void {
    if (end) return;
    end = { error };
    user.onReadable();
  }

  socket.on('readable', () => user.onReadable());
  socket.on('drain', () => user.onDrain());
  socket.on('end', () => finish(whyBroken()));
  socket.on('error', finish);
  socket.on('close', () => finish(new Error('closed')));
  return {
    peer,
    get isOver() {
      return end !== undefined || socket.destroyed;
    },
    use(next) {
      user = next;
    },
    read() {
      const chunk: Buffer | null = socket.read(); // after a failure too, it returns what had arrived
      if (chunk === null && end && !isReported) {
        isReported = true;
        user.onOver(end.error);
      }
      return chunk;
    },
    write(...parts) {
      socket.cork();
      for (const part of parts) socket.write(part as string, 'latin1');
      socket.uncork();
      return !socket.writableNeedDrain;
    },
    setIdle: (isIdle) => void (isIdle ? wire.unref() : wire.ref()),
    destroy() {
      socket.destroy();
      wire.destroy();
    },
  };
}

type Done = (error?: Error | null) => void;

/**
 * Lets a socket be read after a write to it has failed. By default it is destroyed then, and with it an answer that waits
 * in the kernel: that of a server which answers and closes without reading the body. Reading shows the end of the
 * connection soon, and the failed write is the last one.
 * @returns the error of the failed write.
 */
export function keepReadingAfterFailedWrite(socket: Socket): () => NodeJS.ErrnoException | undefined {
  let failure: Error | undefined;
  const hold =
    (done: Done): Done =>
    (error) => {
      if (error) failure = error;
      else done();
    };
  const { _write: write, _writev: writev } = socket;
  socket._write = (chunk, encoding, done) => write.call(socket, chunk, encoding, hold(done));
  if (writev) socket._writev = (chunks, done) => writev.call(socket, chunks, hold(done));
  return () => failure;
}

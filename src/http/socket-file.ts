import { randomBytes } from 'node:crypto';
import { chmodSync, lstatSync, renameSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { makeFolder } from '../files/make-folder.ts';

export type SocketAddress = {
  socketPath: string;
  /** Set if all workers of a program share the socket: its name until the first of them listens. */
  firstName?: string;
};

/**
 * What became of the path: `file` is at it now (as `identify` names it), `shared` if another worker of this program has
 * put it there, `taken` if another program listens on it.
 */
export type Bound = { file: string } | 'shared' | 'taken';

/** Listens, and puts the socket at its path. */
export function bindSocket(server: Server, { socketPath, firstName }: SocketAddress): Promise<Bound> {
  return firstName === undefined ? bindAlone(server, socketPath) : bindShared(server, socketPath, firstName);
}

/**
 * Binds under another name and renames: no EADDRINUSE after a crash, no moment without a socket, and a leaving
 * predecessor, which unlinks only the name it bound, cannot take ours away.
 */
async function bindAlone(server: Server, path: string): Promise<Bound> {
  makeFolder(dirname(path));
  // Short, because a socket's path has at most 107 bytes; random, because process ids are used again.
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}`);
  await listenOn(server, { path: temporary, exclusive: true }); // otherwise the cluster's primary would bind it for us
  chmodSync(temporary, 0o660);
  const file = identify(temporary) as string;
  renameSync(temporary, path);
  return { file };
}

/**
 * The cluster's primary binds the socket for the first worker that asks, and hands the same one to all others, so it
 * works as long as one of them lives. Renamed as above, but not over the socket of another program.
 */
async function bindShared(server: Server, path: string, firstName: string): Promise<Bound> {
  const temporary = join(dirname(path), firstName);
  await listenOn(server, { path: temporary });
  try {
    chmodSync(temporary, 0o600);
    const file = identify(temporary) as string;
    if (await isInUse(path)) {
      unlinkSync(temporary);
      return 'taken';
    }
    renameSync(temporary, path);
    return { file };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return 'shared'; // another worker was first
  }
}

/** @returns what distinguishes the file from others that may take its path; undefined if there is none. */
export function identify(path: string): string | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}

/** The errors of `connect` if nobody listens. After any other, such as a full queue, somebody may. */
const NOBODY = new Set(['ENOENT', 'ENOTDIR', 'ENOTSOCK', 'ECONNREFUSED']);

/** Whether a process listens on the socket at this path. */
export function isInUse(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(!NOBODY.has(code)));
  });
}

export function listenOn(server: Server, options: object): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

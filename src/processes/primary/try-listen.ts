import { createServer } from 'node:net';

/**
 * Listens for a moment, to see whether that is possible.
 * @returns undefined if it is, otherwise the system's error code.
 */
export function tryToListen(port: number, host: string): Promise<string | undefined> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', ({ name, code = name }: NodeJS.ErrnoException) => resolve(code));
    probe.listen(port, host, () => probe.close(() => resolve(undefined)));
  });
}

import { createServer } from 'node:net';

/**
 * Listens for a moment, to see whether it can be done.
 * @returns undefined when it can; else why not, as a code of the system.
 */
export function tryToListen(port: number, host: string): Promise<string | undefined> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', ({ name, code = name }: NodeJS.ErrnoException) => resolve(code));
    probe.listen(port, host, () => probe.close(() => resolve(undefined)));
  });
}

import { statSync } from 'node:fs';

const LOOK_EVERY_MS = 1_000;

/** @returns the version of a file, looked at once a second at most; empty for anything but a file. */
export function watchFile(path: string): () => string {
  let version = '';
  let lookAt = 0;
  return () => {
    if (performance.now() >= lookAt) {
      lookAt = performance.now() + LOOK_EVERY_MS;
      const found = statSync(path, { throwIfNoEntry: false });
      version = found?.isFile() ? `${found.ino} ${found.mtimeMs} ${found.size}` : '';
    }
    return version;
  };
}

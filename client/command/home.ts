import { homedir } from 'node:os';
import { isAbsolute } from 'node:path';

/** @returns undefined for a user without one: HOME is empty, or is not set and the system does not know the user. */
export function homeFolder(): string | undefined {
  try {
    const folder = homedir();
    return isAbsolute(folder) ? folder : undefined;
  } catch {
    return undefined;
  }
}

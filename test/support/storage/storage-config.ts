import { NO_LIMITS, type StoreLimits } from '../../../src/limits/limits.ts';
import type { StorageConfig } from '../../../src/storage/storage.ts';

/** What `openStorage` needs to know of the configuration. */
export function configOf(url: string, limits: Partial<StoreLimits> = {}): StorageConfig {
  const { maxBytes, clientCreatesPerMinute, clientMaxSecrets, clientMaxBytes } = { ...NO_LIMITS, ...limits };
  return {
    sqlitePath: url.startsWith('sqlite:') ? url.slice('sqlite:'.length) : undefined,
    STORAGE_URL: url,
    STORAGE_MAX_BYTES: maxBytes,
    CREATES_PER_MINUTE: clientCreatesPerMinute,
    CLIENT_MAX_SECRETS: clientMaxSecrets,
    CLIENT_MAX_BYTES: clientMaxBytes,
  };
}

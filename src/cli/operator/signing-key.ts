import type { Config } from '../../config/config.ts';
import { findMasterKeys } from '../../keys/master-keys.ts';
import { createKeyRing } from '../../sealing/key-ring.ts';
import { createSigningKeys } from '../../tokens/access/signing-keys.ts';
import { EXIT, type Exit, Failure, instant, isDatabaseThere, type Terminal } from '../terminal.ts';
import { withStorage } from './with-storage.ts';

/** Makes a new key for access tokens, beside a service that may run. */
export async function rotateSigningKey(
  terminal: Terminal,
  config: Config,
  { isRevoking }: { isRevoking: boolean },
): Promise<Exit> {
  const masterKeys = findMasterKeys(config);
  if (!masterKeys) throw new Failure('there is no master key yet: the first start creates one');
  if (!isDatabaseThere(config)) throw new Failure(`there is no database at ${config.sqlitePath}`);
  const signsFrom = await withStorage(terminal, config, ({ signingKeys: store }) =>
    createSigningKeys({ store, ring: createKeyRing(masterKeys), clock: terminal.now }).rotate(isRevoking),
  );
  terminal.say(
    isRevoking
      ? 'The new signing key signs from now on. Access tokens of before are refused by this service at once.'
      : `The new signing key is served from now on, and signs from ${instant(signsFrom)}.`,
  );
  if (isRevoking) {
    terminal.say(
      'Services that verify tokens themselves refuse them when they load the keys again: within five minutes.',
    );
  }
  return EXIT.fine;
}

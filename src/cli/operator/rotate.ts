import { statSync } from 'node:fs';
import type { Config } from '../../config/config.ts';
import {
  changeMasterKeys,
  createMasterKey,
  findKeyFiles,
  findMasterKeys,
  type KeyFiles,
  type MasterKeys,
  writeNewKey,
} from '../../keys/master-keys.ts';
import { RECEIPT_MS } from '../../secrets/store.ts';
import { openRecords } from '../../storage/open.ts';
import { count, describe, EXIT, type Exit, Failure, instant, isDatabaseThere, type Terminal } from '../terminal.ts';
import { countSealed, describeSealed, fingerprintsOf, type SealedCount } from './sealed.ts';

const COUNT_PATIENCE_MS = 300_000;
/** Workers look for new keys about every 20 s: after this time none seals with an older key, or is about to. */
export const SETTLED_MS = 300_000;

/** Makes a new key. The old one stays for reading, because nothing can be sealed again without its link. */
export async function rotate(terminal: Terminal, config: Config, { out }: { out: string | undefined }): Promise<Exit> {
  if (out !== undefined) return writeKey(terminal, config, out);
  const files = findKeyFiles(config);
  if (!files) {
    throw new Failure(
      'MASTER_KEY is a variable, which only you can change: see `hushbox help rotate-master-key`, --out FILE',
    );
  }
  const keys = findMasterKeys(config);
  if (!keys) throw new Failure('there is no master key yet: the first start creates one');
  const changed = change('', files, (held) => [createMasterKey(), ...held]);
  const [fresh, old] = fingerprintsOf(changed) as [string, string];
  terminal.say(`The new master key ${fresh} seals from now on, ${old} stays for reading: ${describeFiles(files)}.`);
  terminal.say('A running service uses it within half a minute, or at once if you send SIGHUP to its primary process.');
  terminal.say('Other hosts that share the storage need the same files before they read what the new key seals.');
  await sayNeeds(terminal, config, old);
  return EXIT.fine;
}

async function writeKey(terminal: Terminal, config: Config, path: string): Promise<Exit> {
  const fresh = createMasterKey();
  writeNewKey(path, fresh);
  const [fingerprint] = fingerprintsOf([fresh]);
  terminal.say(`Wrote the new master key ${fingerprint} to ${path}. Nothing uses it yet. To put it to use:`);
  terminal.say(
    '  1. Everywhere: add it to MASTER_KEY_PREVIOUS and restart, so that every process can read what it seals.',
  );
  terminal.say('  2. Everywhere: make it MASTER_KEY, put the old key into MASTER_KEY_PREVIOUS, and restart.');
  terminal.say('  If the keys are files, SIGHUP is enough in place of a restart. Then remove this file.');
  const [old] = fingerprintsOf(findMasterKeys(config)?.slice(0, 1) ?? []);
  if (old) await sayNeeds(terminal, config, old);
  return EXIT.fine;
}

/** Says when the old key can go. The new key is in place already, so a failure here is only reported. */
async function sayNeeds(terminal: Terminal, config: Config, fingerprint: string): Promise<void> {
  // Delivery of a webhook is tried until seven days after the end of its secret.
  const latest = instant(terminal.now() + config.SECRET_TTL_MAX_SECONDS * 1000 + RECEIPT_MS + SETTLED_MS);
  const inAnyCase = `in any case it can go after ${latest}`;
  try {
    const { byKey, isComplete } = await look(terminal, config);
    const soFar = isComplete ? '' : ', as far as was counted';
    terminal.say(`The old key: ${describeSealed(byKey.get(fingerprint))}${soFar}; ${inAnyCase}.`);
    terminal.say(
      '`hushbox rotate-master-key --status` shows this again; `--prune` removes the key from its file then.',
    );
  } catch (error) {
    terminal.say(`The old key: the storage could not be asked what needs it (${describe(error)}); ${inAnyCase}.`);
  }
}

/** Shows what each key protects and until when it is needed. */
export async function sayStatus(terminal: Terminal, config: Config): Promise<Exit> {
  const held = fingerprintsOf(findMasterKeys(config) ?? []);
  const { byKey, isComplete } = await look(terminal, config);
  for (const [index, fingerprint] of held.entries()) {
    const role = index === 0 ? 'seals and reads' : 'reads';
    terminal.say(`${fingerprint}  ${role}: ${describeSealed(byKey.get(fingerprint))}`);
  }
  const missing = [...byKey].filter(([fingerprint]) => !held.includes(fingerprint));
  for (const [fingerprint, sealed] of missing) {
    terminal.say(`${fingerprint}  is not here: ${describeSealed(sealed)}; put it into MASTER_KEY_PREVIOUS`);
  }
  if (!isComplete) terminal.complain('The count took too long and was stopped: there can be more.');
  return isComplete && missing.length === 0 ? EXIT.fine : EXIT.problems;
}

/** Removes the keys that nothing needs any more from the files; never the key that seals. */
export async function prune(terminal: Terminal, config: Config): Promise<Exit> {
  const files = findKeyFiles(config);
  if (!files) {
    throw new Failure(
      'the master keys are variables: remove from MASTER_KEY_PREVIOUS the keys that --status calls free',
    );
  }
  refuseUnsettled(terminal, files);
  const { byKey, isComplete } = await look(terminal, config);
  if (!isComplete) throw new Failure('the count took too long and was stopped: nothing was changed');
  const isFree = (key: Buffer): boolean => !byKey.has(fingerprintsOf([key])[0] as string);
  const free = findMasterKeys(config)?.slice(1).filter(isFree) ?? [];
  if (free.length > 0)
    change(' --prune', files, ([first, ...older]) => [first, ...older.filter((key) => !isFree(key))]);
  for (const fingerprint of fingerprintsOf(free)) terminal.say(`${fingerprint}  is gone: nothing was sealed with it.`);
  if (free.length === 0) terminal.say('Every key is needed, or seals.');
  return EXIT.fine;
}

/** A worker that has not noticed the last change yet still seals with the key before it. */
function refuseUnsettled(terminal: Terminal, { current, previous }: KeyFiles): void {
  const changes = [current, previous].map((path) => (path && statSync(path, { throwIfNoEntry: false })?.mtimeMs) || 0);
  const waitMs = Math.max(...changes) + SETTLED_MS - terminal.now();
  if (waitMs <= 0) return;
  const minutes = count(Math.ceil(waitMs / 60_000), 'minute');
  throw new Failure(`the keys were changed just now, and a worker may still seal with the old one: wait ${minutes}`);
}

async function look(terminal: Terminal, config: Config): Promise<SealedCount> {
  if (!isDatabaseThere(config)) throw new Failure(`there is no database at ${config.sqlitePath}`);
  const records = await openRecords(config);
  try {
    // An empty storage that is not the service's would call every key free.
    if (!(await records.findMark()))
      throw new Failure('no service ever used this storage: is STORAGE_URL the right one?');
    return await countSealed(records, terminal.now(), COUNT_PATIENCE_MS);
  } finally {
    await records.close();
  }
}

/** @param option of the command, for the message where it has to run elsewhere. */
function change(option: '' | ' --prune', files: KeyFiles, how: (keys: MasterKeys) => MasterKeys): MasterKeys {
  try {
    return changeMasterKeys(files, how);
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    if (code === 'EEXIST')
      throw new Failure(
        `another change is under way, or was interrupted less than a minute ago (${path}): wait a minute and run this again`,
      );
    const advice =
      code === 'EROFS' ? READ_ONLY + option : 'run this as the user who owns them, where their folder is writable';
    throw new Failure(`the key files cannot be changed (${code}): ${advice}`);
  }
}

/** In containers the service may only read its keys: see docker-compose.yml. */
const READ_ONLY =
  'they are read-only here. With Docker Compose, run: docker compose run --rm setup hushbox rotate-master-key';

function describeFiles({ current, previous }: KeyFiles): string {
  return previous === undefined ? `both are in ${current}` : `they are in ${current} and ${previous}`;
}

import { type Config, needsMasterKey } from '../../config/config.ts';
import { findMasterKeys } from '../../keys/master-keys.ts';
import { openRecords } from '../../storage/open.ts';
import { countSealed, describeSealed, fingerprintsOf, type SealedCount } from '../operator/sealed.ts';
import { count, isDatabaseThere, type Terminal } from '../terminal.ts';
import { type Finding, note, ok, problem } from './findings.ts';

const COUNT_PATIENCE_MS = 30_000;
const CLOCK_TOLERANCE_MS = 2_000;

/** Whether the key of every stored secret is here, and no secret was created in the future. */
export async function inspectKeys(terminal: Terminal, config: Config): Promise<Finding[]> {
  if (!needsMasterKey(config)) return [ok('Nothing that is served here needs a master key.')];
  const held = fingerprintsOf(findMasterKeys(config) ?? []);
  const ring = judgeRing(held);
  if (!isDatabaseThere(config)) return [ring];
  const records = await openRecords(config);
  try {
    const now = terminal.now();
    const sealed = await countSealed(records, now, COUNT_PATIENCE_MS);
    return [ring, ...judgeSealed(held, sealed), ...judgeNewest(sealed, now)];
  } finally {
    await records.close();
  }
}

function judgeRing([current, ...older]: readonly string[]): Finding {
  if (current === undefined) return note('There is no master key yet: the first start creates one.');
  return ok(
    `The master key ${current} seals${older.length > 0 ? `, ${older.join(', ')} only open older secrets` : ''}.`,
  );
}

function judgeSealed(held: readonly string[], { byKey, isComplete }: SealedCount): Finding[] {
  const missing = [...byKey].filter(([fingerprint]) => !held.includes(fingerprint));
  const totalOf = (kind: 'waiting' | 'requests'): number =>
    [...byKey.values()].reduce((sum, all) => sum + all[kind], 0);
  const requests = totalOf('requests');
  const free = held.slice(1).filter((fingerprint) => !byKey.has(fingerprint));
  return [
    ok(`${count(totalOf('waiting'), 'secret')} waiting${requests > 0 ? `, ${count(requests, 'request')} open` : ''}.`),
    ...missing.map(([fingerprint, sealed]) =>
      problem(
        `The master key ${fingerprint} is not here: ${describeSealed(sealed)}. Reading such a secret gives 503, and webhooks and mail wait.`,
        'Put it into MASTER_KEY_PREVIOUS. Without it what is sealed with it is lost, and nothing else is.',
      ),
    ),
    ...(isComplete ? free : []).map((fingerprint) =>
      note(`The older master key ${fingerprint} is no longer needed.`, '`hushbox rotate-master-key --prune`'),
    ),
    ...(isComplete ? [] : [note(`There are more secrets than could be counted within ${COUNT_PATIENCE_MS / 1000} s.`)]),
  ];
}

function judgeNewest({ newestAt }: SealedCount, now: number): Finding[] {
  if (newestAt === undefined || newestAt <= now + CLOCK_TOLERANCE_MS) return [];
  const seconds = count(Math.round((newestAt - now) / 1000), 'second');
  return [
    problem(
      `The newest secret was created ${seconds} in the future: the clock was set back, or another host's is ahead.`,
      'Set the clocks by NTP: with a clock that is late, expired secrets can be read again.',
    ),
  ];
}

import type { Inspection, MongoFact, SqliteFact } from '../../storage/inspection.ts';
import { count } from '../terminal.ts';
import { type Finding, note, ok, problem, warning } from './findings.ts';

/** Every commit waits for one such write. */
const SLOW_SQLITE_WRITE_MS = 50;
const SLOW_MONGO_WRITE_MS = 100;
/** MongoDB removes expired documents by its own clock, 30 s late. A clock further ahead would remove them too early. */
const MAX_CLOCK_OFFSET_MS = 30_000;
const ALARMING_CLOCK_OFFSET_MS = 1_000;
const RESTORE =
  'Stop the service, keep a copy of the file, and restore a good one (docs/backup.md) or start with an empty one.';

/** Whether there is nothing that the checks of keys and marks could look at: they would only repeat the reason. */
export function isOutOfReach({ engine, facts }: Inspection): boolean {
  if (engine === 'mongodb') return facts.some(({ type }) => type === 'no-answer');
  return !facts.some(({ type }) => type === 'file' || type === 'no-file');
}

/** Says what the facts mean, and what to do about them. */
export function judgeStorage({ engine, facts }: Inspection): Finding[] {
  if (engine === 'mongodb') return facts.map(judgeMongo);
  const isOpen = facts.some(({ type }) => type === 'write' || type === 'no-write');
  return facts.map((fact) => judgeSqlite(fact, isOpen));
}

function judgeSqlite(fact: SqliteFact, isOpen: boolean): Finding {
  switch (fact.type) {
    case 'no-file':
      return note('There is no database yet: the first start creates it.');
    case 'orphan':
      return problem(
        `${fact.file} (${count(fact.bytes, 'byte')}) holds changes of a database that is not there.`,
        'Put the database back beside it. To start with an empty database, move this file to another folder.',
      );
    case 'old-sqlite':
      return problem(`The database cannot be opened: ${fact.reason}.`, 'The service does not start with it either.');
    case 'file':
      return judgeVersion(fact);
    case 'write':
      return judgeWrite(`A write is on disk after ${fact.ms.toFixed(1)} ms`, {
        isSlow: fact.ms >= SLOW_SQLITE_WRITE_MS,
        advice: 'Put the database on a faster disk.',
      });
    case 'no-write':
      return problem(
        `Nothing can be written beside the database (${fact.code}).`,
        'Run this as the user of the service. If you did, give that user the folder, or free space on its disk.',
      );
    case 'check':
      if (fact.faults.length === 0) return ok('The integrity check found no damage.');
      return problem(`The database is damaged: ${fact.faults.join('; ')}.`, RESTORE);
    case 'failure':
      return problem(`The database cannot be looked at: ${fact.reason}.`, RESTORE);
    case 'timeout': {
      const late = `did not end within ${fact.afterMs / 1000} s`;
      if (isOpen) return note(`The integrity check ${late} and was stopped: the file is large, or the disk is slow.`);
      return problem(
        `Opening the database ${late}.`,
        'Check whether its disk responds, and which process holds the file.',
      );
    }
  }
}

function judgeVersion({ bytes, version, newest }: SqliteFact & { type: 'file' }): Finding {
  const size = `${(bytes / 1_048_576).toFixed(1)} MiB`;
  if (version === newest) return ok(`SQLite opens: ${size}, version ${version} of the tables.`);
  const older = `SQLite opens: ${size}, version ${version} of the tables; the next start brings them to ${newest}.`;
  if (version < newest) return note(older, 'See docs/upgrade.md: after that, an older program refuses the file.');
  return problem(
    `The database was made by a newer version of Hushbox (${version}, this one knows ${newest}).`,
    'Run that version: a database cannot be brought back to an older one.',
  );
}

function judgeMongo(fact: MongoFact): Finding {
  switch (fact.type) {
    case 'no-answer':
      return problem(
        `MongoDB does not answer (${fact.reason}).`,
        'Check STORAGE_URL, the server, and the network between.',
      );
    case 'server':
      if (fact.topology !== 'standalone') return ok(`MongoDB answers: a ${fact.topology}.`);
      return warning('MongoDB answers, but runs standalone: it can lose acknowledged writes.', 'Use a replica set.');
    case 'clock':
      return judgeClock(fact);
    case 'indexes':
      return judgeIndexes(fact);
    case 'write':
      return judgeWrite(`A write is confirmed by a majority after ${fact.ms.toFixed(1)} ms`, {
        isSlow: fact.ms >= SLOW_MONGO_WRITE_MS,
        advice: 'Check its load, its disks and its network.',
      });
    case 'no-write':
      return problem(
        `MongoDB does not confirm a write (${fact.code}).`,
        'Every create and read needs a write that a majority has journaled: check the members of the set.',
      );
  }
}

function judgeWrite(text: string, { isSlow, advice }: { isSlow: boolean; advice: string }): Finding {
  return isSlow ? warning(`${text}: every create and read waits that long.`, advice) : ok(`${text}.`);
}

function judgeClock({ offsetMs, roundTripMs }: MongoFact & { type: 'clock' }): Finding {
  if (offsetMs === undefined) return note('MongoDB does not say what time it has.');
  const isSure = Math.abs(offsetMs) > roundTripMs / 2;
  const difference = isSure ? `${(Math.abs(offsetMs) / 1000).toFixed(1)} s` : 'less than one question takes';
  const text = `MongoDB's clock and ours differ by ${difference}.`;
  const advice = 'Set both by NTP: all hosts that share a database need the same time.';
  if (!isSure || Math.abs(offsetMs) < ALARMING_CLOCK_OFFSET_MS) return ok(text);
  return Math.abs(offsetMs) < MAX_CLOCK_OFFSET_MS ? warning(text, advice) : problem(text, advice);
}

function judgeIndexes({ isNew, missing }: MongoFact & { type: 'indexes' }): Finding {
  if (isNew) return note('Nothing is stored yet: the first start creates the indexes.');
  if (missing.length === 0) return ok('All indexes are there.');
  const names = missing.map(({ collection, names }) => `${names.join(', ')} of ${collection}`).join('; ');
  return problem(
    `Indexes are missing: ${names}. Expired records are removed late, or slowly.`,
    'Start the service, and see in its log whether MongoDB refuses them.',
  );
}

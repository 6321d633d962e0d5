import { randomUUID } from 'node:crypto';
import type { Collection, Document } from 'mongodb';
import type { Clock } from '../../../clock.ts';
import { type Finding, note, ok, problem, warning } from '../../../findings.ts';
import { SECRETS, type SecretDocument } from '../collections.ts';
import { type Connection, connectPatiently, isStandalone, keepConnection } from '../engine/connection.ts';
import { hasCode, NAMESPACE_NOT_FOUND } from '../engine/error-codes.ts';

const SLOW_WRITE_MS = 100;
/** The database removes what is over by its own clock, 30 s late: beyond that it would be early. */
const MAX_CLOCK_OFFSET_MS = 30_000;
const ALARMING_CLOCK_OFFSET_MS = 1_000;

/** Looks at the server through a connection of its own. Changes nothing, and makes neither database nor collection. */
export async function inspectMongo(url: string, clock: Clock): Promise<Finding[]> {
  const connection = keepConnection(url);
  const { current, close } = connection;
  try {
    await connectPatiently(connection);
    return [...(await inspectServer(current(), clock)), ...(await inspectWrites(current()))];
  } catch (error) {
    return [
      problem(`MongoDB does not answer (${codeOf(error)}).`, 'Check STORAGE_URL, the server, and the way to it.'),
    ];
  } finally {
    await close();
  }
}

async function inspectServer({ database }: Connection, clock: Clock): Promise<Finding[]> {
  const askedAt = clock();
  const hello = await database.command({ hello: 1 });
  const roundTripMs = clock() - askedAt;
  return [
    topologyOf(hello),
    clockOf(hello, askedAt + roundTripMs / 2, roundTripMs),
    ...(await inspectIndexes(SECRETS.in(database))),
  ];
}

function topologyOf(hello: Document): Finding {
  if (isStandalone(hello)) {
    return warning('MongoDB answers, but runs standalone: it can lose acknowledged writes.', 'Use a replica set.');
  }
  return ok(`MongoDB answers: a ${hello.msg === 'isdbgrid' ? 'sharded cluster' : 'replica set'}.`);
}

function clockOf({ localTime }: Document, now: number, roundTripMs: number): Finding {
  if (!(localTime instanceof Date)) return note('MongoDB does not tell its time.');
  const offsetMs = localTime.getTime() - now;
  const isSure = Math.abs(offsetMs) > roundTripMs / 2;
  const seconds = `${(Math.abs(offsetMs) / 1000).toFixed(1)} s`;
  const text = `MongoDB's clock and ours differ by ${isSure ? seconds : 'less than can be told'}.`;
  const advice = 'Set both by NTP: all hosts that share a database need the same time.';
  if (!isSure || Math.abs(offsetMs) < ALARMING_CLOCK_OFFSET_MS) return ok(text);
  return Math.abs(offsetMs) < MAX_CLOCK_OFFSET_MS ? warning(text, advice) : problem(text, advice);
}

async function inspectIndexes(secrets: Collection<SecretDocument>): Promise<Finding[]> {
  let there: Document[];
  try {
    there = await secrets.indexes();
  } catch (error) {
    if (!hasCode(error, NAMESPACE_NOT_FOUND)) throw error;
    there = [];
  }
  if (there.length === 0) return [note('Nothing is stored yet: the first start makes the indexes.')];
  const missing = SECRETS.indexes.filter(
    ({ key }) => !there.some((index) => JSON.stringify(index.key) === JSON.stringify(key)),
  );
  if (missing.length === 0) return [ok('The indexes are there.')];
  const names = missing.map(({ name }) => name).join(', ');
  const advice = 'Start the service, and see in its log whether MongoDB refuses them.';
  return [problem(`Indexes are missing: ${names}. What is over is removed late, or slowly.`, advice)];
}

/** A write that finds nothing to change is acknowledged as any other is, and leaves nothing behind. */
async function inspectWrites({ database }: Connection): Promise<Finding[]> {
  const startedAt = performance.now();
  try {
    await SECRETS.in(database).deleteOne({ _id: Buffer.from(randomUUID()) });
  } catch (error) {
    const advice = 'Every create and read needs a write that a majority has journaled: see the members of the set.';
    return [problem(`MongoDB does not confirm a write (${codeOf(error)}).`, advice)];
  }
  const ms = performance.now() - startedAt;
  const text = `A write is confirmed by a majority after ${ms.toFixed(1)} ms`;
  if (ms < SLOW_WRITE_MS) return [ok(`${text}.`)];
  return [warning(`${text}: every create and read waits for that.`, 'See the load, the disks and the network of it.')];
}

/** Messages of the driver and the server can quote addresses and documents: a code or a name is enough. */
function codeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: string };
  return typeof code === 'number' || typeof code === 'string' ? `error ${code}` : String(name);
}

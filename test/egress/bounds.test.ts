import { promises as dns } from 'node:dns';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { createGates } from '../../src/egress/gates.ts';
import { createNames, MAX_LOOKUPS } from '../../src/egress/names.ts';
import { startDns } from '../support/egress/dns.ts';
import { until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const BUSY = { code: 'DESTINATION_BUSY', retryAfterSeconds: 5 };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a request that waits for a place gets it in turn, and only when all of its gates have one', async (t) => {
  const gates = createGates(2);
  const entered: string[] = [];
  const enter = (name: string, ...keys: string[]): void => {
    const pending = gates.enter(keys, undefined);
    if (pending) void pending.then(() => entered.push(name));
    else entered.push(name);
  };
  for (const name of ['1', '2', '3', '4']) enter(name, 'a', name);
  enter('b1', 'b');
  enter('b2', 'b');
  enter('both', 'a', 'b');
  t.deepEqual([entered, gates.inside, gates.waiting], [['1', '2', 'b1', 'b2'], 4, 3]);
  gates.leave(['a', '1']);
  await turn();
  t.is(entered.at(-1), '3');
  gates.leave(['a', '2']);
  gates.leave(['a', '3']);
  await turn();
  t.deepEqual([entered.at(-1), gates.waiting], ['4', 1]); // there is room at a, but not at b
  gates.leave(['b']);
  await turn();
  t.deepEqual([entered.at(-1), gates.waiting], ['both', 0]);
  for (const keys of [['a', '4'], ['b'], ['a', 'b']]) gates.leave(keys);
  t.deepEqual([gates.inside, gates.waiting], [0, 0]);
});

test('a request that waits too long is refused for now, and takes no place any more', async (t) => {
  const gates = createGates(1, 50);
  t.is(gates.enter(['a'], undefined), undefined);
  const keepsAlive = setTimeout(() => {}, 60_000);
  t.like(await t.throwsAsync(gates.enter(['a'], undefined) as Promise<void>), BUSY);
  clearTimeout(keepsAlive);
  const ending = new AbortController();
  const waits = gates.enter(['a'], ending.signal) as Promise<void>;
  ending.abort(new Error('enough'));
  await t.throwsAsync(waits, { message: 'enough' });
  t.deepEqual([gates.inside, gates.waiting], [1, 0]);
  gates.leave(['a']);
  t.is(gates.enter(['a'], undefined), undefined);
});

test('no more than 2,048 requests are under way, and 1,024 wait', (t) => {
  const gates = createGates(64);
  for (let index = 0; index < 2_048; index++) void gates.enter([`${index}`], undefined);
  t.like(
    t.throws(() => gates.enter(['one more'], undefined)),
    BUSY,
  );
  const waiting = createGates(1);
  for (const key of ['a', 'b', 'c', 'd', 'e']) void waiting.enter([key], undefined);
  for (const key of ['a', 'b', 'c', 'd']) {
    for (let index = 0; index < 256; index++) void (waiting.enter([key], undefined) as Promise<void>).catch(() => {});
  }
  t.is(waiting.waiting, 1_024);
  t.like(
    t.throws(() => waiting.enter(['e'], undefined)),
    BUSY,
  );
});

test('no more than 1,024 names are looked up at once; addresses and localhost need no place', async (t) => {
  const { address } = await startDns(t, () => 'silence');
  const names = createNames([address], '/nowhere');
  const underWay = Array.from({ length: MAX_LOOKUPS }, (_, index) => names.lookUp(`n${index}.example`));
  t.like(await t.throwsAsync(names.lookUp('one-more.example')), BUSY);
  t.is((await names.lookUp('localhost')).length, 2);
  t.is((await names.lookUp('192.0.2.1')).join(), '192.0.2.1');
  names.close();
  for (const found of await Promise.all(underWay)) t.is(found.length, 0);
});

test('changed name servers of the system are asked within seconds', async (t) => {
  const [before, after] = [await startDns(t, () => ['192.0.2.1']), await startDns(t, () => ['192.0.2.2'])];
  const path = join(await temporaryFolder(t), 'resolv.conf');
  // As the system's resolver does, but with ports, which that file cannot have.
  const open = (): dns.Resolver => {
    const resolver = new dns.Resolver();
    resolver.setServers([readFileSync(path, 'utf8')]);
    return resolver;
  };
  writeFileSync(path, before.address);
  const names = createNames([], '/nowhere', { path, open });
  t.is((await names.lookUp('a.example')).join(), '192.0.2.1');
  writeFileSync(`${path}.new`, after.address);
  renameSync(`${path}.new`, path);
  await until('the new servers', async () => (await names.lookUp('a.example')).join() === '192.0.2.2');
  const asked = before.asked.length;
  await names.lookUp('b.example');
  t.is(before.asked.length, asked);
  names.close();
});

import type { Engine } from '../support/storage/storage.ts';

/** Every engine passes this suite: what `SigningKeyStore` promises. */
export function signingKeyStoreContract({ name, test, place }: Engine): void {
  test(`${name}: signing keys: a record is replaced by whoever has seen it, also when it is opened again`, async (t) => {
    const world = await place(t);
    const storage = await world.open();
    const { signingKeys } = storage;
    const [first, second] = [Buffer.from('first'), Buffer.alloc(20_000, 7)];
    t.is(await signingKeys.read(), undefined);
    t.false(await signingKeys.replace(first, second), 'there is nothing to replace');
    t.true(await signingKeys.replace(undefined, first));
    t.false(await signingKeys.replace(undefined, second), 'there is a record');
    t.false(await signingKeys.replace(second, second));
    t.true(await signingKeys.replace(first, second));
    t.deepEqual(Buffer.from((await signingKeys.read()) ?? []), second);
    await storage.close();
    const again = await world.open();
    t.deepEqual(Buffer.from((await again.signingKeys.read()) ?? []), second);
    await again.close();
  });

  test(`${name}: signing keys: the first name stays, also after the keys were replaced`, async (t) => {
    const world = await place(t);
    const opened = await Promise.all(Array.from({ length: 3 }, () => world.open()));
    const given = await Promise.all(opened.map(({ signingKeys }, index) => signingKeys.nameOnce(`name ${index}`)));
    t.is(new Set(given).size, 1);
    await opened[0]?.signingKeys.replace(undefined, Buffer.from('keys'));
    t.is(await opened[1]?.signingKeys.nameOnce('another'), given[0]);
    for (const storage of opened) await storage.close();
  });

  test(`${name}: signing keys: of N at once exactly one replaces the record`, async (t) => {
    const world = await place(t);
    const opened = await Promise.all(Array.from({ length: 3 }, () => world.open()));
    let before: Buffer | undefined;
    for (let round = 0; round < 50; round++) {
      const wanted = Array.from({ length: 12 }, (_, index) => Buffer.from(`${round} ${index}`));
      const replaced = await Promise.all(
        wanted.map((to, index) => opened[index % opened.length]?.signingKeys.replace(before, to)),
      );
      const winners = wanted.filter((_, index) => replaced[index]);
      t.is(winners.length, 1);
      before = winners[0];
      t.deepEqual(Buffer.from((await opened[0]?.signingKeys.read()) ?? []), before);
    }
    for (const storage of opened) await storage.close();
  });
}

import test from 'ava';
import { createCustomers, createId, isBlank, isDate, lengthOf } from '../../src/business/customers.ts';
import type { CustomerStore } from '../../src/business/store.ts';
import { SQLITE } from '../support/storage/storage.ts';

const DATES: readonly [text: string, is: boolean][] = [
  ['1999-12-31', true],
  ['2024-02-29', true],
  ['2000-02-29', true],
  ['0001-01-01', true],
  ['9999-12-31', true],
  ['2023-02-29', false],
  ['1900-02-29', false],
  ['2024-02-30', false],
  ['2024-04-31', false],
  ['2024-00-10', false],
  ['2024-13-01', false],
  ['2024-01-00', false],
  ['2024-01-32', false],
  ['0000-01-01', false],
  ['2024-1-1', false],
  ['24-01-01', false],
  ['+002024-01-01', false],
  ['-2024-01-01', false],
  ['2024-01-01T00:00:00Z', false],
  [' 2024-01-01', false],
  ['2024-01-01\n', false],
  ['٢٠٢٤-٠١-٠١', false],
  ['2024/01/01', false],
  ['', false],
];
for (const [text, is] of DATES) {
  test(`${JSON.stringify(text)} is ${is ? 'a' : 'no'} date`, (t) => t.is(isDate(text), is));
}

test('every day of 400 years is a date, and no day after the last of a month', (t) => {
  const days = new Set<string>();
  for (let at = Date.UTC(1900, 0, 1); at < Date.UTC(2300, 0, 1); at += 86_400_000) {
    days.add(new Date(at).toISOString().slice(0, 10));
  }
  for (let year = 1900; year < 2300; year++) {
    for (let month = 1; month <= 12; month++) {
      for (let day = 28; day <= 31; day++) {
        const text = `${year}-${String(month).padStart(2, '0')}-${day}`;
        if (isDate(text) !== days.has(text)) t.fail(text);
      }
    }
  }
  t.pass();
});

test('ids are in the order of the instants at which they were made, and unique', (t) => {
  const instants = [0, 1, 999, 1_795_219_200_000, 1_795_219_200_001, Date.UTC(2200, 0, 1), Date.UTC(9999, 11, 31)];
  const ids = instants.map((now) => createId(now));
  t.deepEqual(ids.toSorted(), ids);
  t.true(ids.every((id) => /^[0-9a-f]{32}$/.test(id)));
  t.is(new Set(Array.from({ length: 10_000 }, () => createId(1))).size, 10_000);
});

test('characters are counted, not units or bytes', (t) => {
  t.is(lengthOf('🔑'.repeat(200)), 200);
  t.is(lengthOf('e\u0301'), 2);
  for (const name of ['', ' ', '\t\n', '\u00a0', '\u3000', '\u200b', '\u2060\ufe0f', '\u3164', '\u0000']) {
    t.true(isBlank(name), JSON.stringify(name));
  }
  for (const name of ['a', ' a ', '山', 'ع', '.', '0', '🔑', '\u{1F3F4}\u200d', '\u{20000}', '\u{10FFFD}']) {
    t.false(isBlank(name), name);
  }
});

SQLITE.test('a day that has begun in UTC is not in the future, and no later one', async (t) => {
  const { open } = await SQLITE.place(t);
  const store: CustomerStore = (await open()).customers;
  const change = { userId: 'u', requestId: 'r' };
  for (const [now, today] of [
    [Date.UTC(2066, 0, 1, 23, 59, 59, 999), '2066-01-01'],
    [Date.UTC(2066, 0, 2), '2066-01-02'],
    [Date.UTC(2067, 11, 31, 10), '2067-12-31'],
    [Date.UTC(2068, 1, 29, 10), '2068-02-29'],
  ] as const) {
    const { create, update } = createCustomers({ store, clock: () => now, onChange: () => {} });
    const tomorrow = new Date(Date.parse(`${today}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
    const { id, dob } = await create({ name: 'n', dob: today }, change);
    t.is(dob, today);
    for (const call of [
      () => create({ name: 'n', dob: tomorrow }, change),
      () => update(id, { dob: tomorrow }, change),
    ]) {
      await t.throwsAsync(async () => call(), { code: 'INVALID_REQUEST' });
    }
    t.like(await update(id, { dob: today }, change), { dob: today });
  }
});

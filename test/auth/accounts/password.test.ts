import test from 'ava';
import { createPasswordRules, readCommonPasswords, readPassword } from '../../../src/auth/accounts/password.ts';
import { hashPassword, isOutdated, isPassword } from '../../../src/auth/accounts/password-hash.ts';
import { hashPhraseSync } from '../../../src/hashing/argon2.ts';
import type { Cost } from '../../../src/hashing/cost.ts';

const rules = createPasswordRules();
const accepts = (text: string): boolean => !('fault' in rules.check(text));

test('8 to 256 code points after NFC', (t) => {
  t.false(accepts('aB3$xyz'));
  t.true(accepts('aB3$xyzw'));
  t.true(accepts('x'.repeat(256)));
  t.false(accepts('x'.repeat(257)));
  t.true(accepts('😀'.repeat(8)));
  t.true(accepts('😀'.repeat(256)));
  t.false(accepts('😀'.repeat(257)));
  t.false(accepts('e\u0301'.repeat(7))); // é seven times
  t.true(accepts('e\u0301'.repeat(256)));
  t.true(accepts('\u03b1\u0313\u0300\u0345'.repeat(256))); // four code points that NFC makes one
  t.false(accepts('\ud800'.repeat(8)));
  t.false(accepts(''));
});

test('two ways to compose the same letters are one password', (t) => {
  t.deepEqual(readPassword('pässwört-zwölf'.normalize('NFD')), readPassword('pässwört-zwölf'.normalize('NFC')));
});

test('common ones are refused, in capital letters too', (t) => {
  for (const common of ['password', 'PassWord', '12345678', 'ILOVEYOU1']) t.false(accepts(common), common);
  t.true(accepts('demo-password'));
  for (const name of ['jennifer', 'Michelle', 'christopher', 'martinez']) t.false(accepts(name), name);
  for (const simple of ['88888888', '12341234', '123123123', '12345678', '87654321', '3456789012'.slice(0, 8)]) {
    t.false(accepts(simple), simple);
  }
  for (const other of ['88888889', '12341235', '81726359']) t.true(accepts(other), other);
  t.deepEqual(rules.check('Password1'), { fault: 'is one of the most common ones: choose another' });
});

test('the list has more than 10,000 passwords, each in the form that is looked up, and long enough to matter', (t) => {
  const common = [...readCommonPasswords()];
  t.true(common.length >= 10_000);
  t.deepEqual(
    common.filter((word) => word !== word.toLowerCase().normalize('NFC') || [...word].length < 8),
    [],
  );
});

test('text that goes on takes no time', (t) => {
  const startedAt = performance.now();
  t.is(readPassword(`a${'\u0300\u0316'.repeat(200_000)}`), undefined);
  t.true(performance.now() - startedAt < 1_000);
});

const PASSWORD = Buffer.from('a password of the tests');
const hash = async (bytes: Uint8Array, salt: Uint8Array, cost?: Cost): Promise<Uint8Array> =>
  hashPhraseSync(bytes, salt, cost);

test('a hash is in the PHC format, and fits its own password alone', async (t) => {
  const stored = await hashPassword(PASSWORD, hash);
  t.regex(stored, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  t.true(await isPassword(PASSWORD, stored, hash));
  t.false(await isPassword(Buffer.from('another password'), stored, hash));
  t.not(await hashPassword(PASSWORD, hash), stored);
  t.false(isOutdated(stored));
});

test('a hash of another library is understood', async (t) => {
  const { hash: hashWith } = await import('@node-rs/argon2');
  const stored = await hashWith(PASSWORD, { algorithm: 2, memoryCost: 12_288, timeCost: 3, parallelism: 1 });
  t.true(await isPassword(PASSWORD, stored, hash));
  t.true(isOutdated(stored));
});

test('without a hash the work is the same, and the answer no', async (t) => {
  const costs: unknown[] = [];
  const counting = (...input: Parameters<typeof hash>): Promise<Uint8Array> => {
    costs.push(input[2]);
    return hash(...input);
  };
  const stored = await hashPassword(PASSWORD, hash);
  t.false(await isPassword(PASSWORD, undefined, counting));
  t.false(await isPassword(Buffer.from('another password'), stored, counting));
  t.is(costs.length, 2);
  t.deepEqual(costs[0], costs[1]);
});

test('a hash that would match what no account has opens nothing', async (t) => {
  const zeros = async (): Promise<Uint8Array> => new Uint8Array(32);
  t.false(await isPassword(PASSWORD, undefined, zeros));
});

test('a stored hash in another form is a failure, not a no', async (t) => {
  for (const stored of ['', 'x', '$2b$10$abcdefghijklmnopqrstuv', '$argon2i$v=19$m=19456,t=2,p=1$aaaa$bbbb']) {
    await t.throwsAsync(isPassword(PASSWORD, stored, hash), { message: /PHC/ });
  }
});

import test from 'ava';
import { parseEmail } from '../../src/network/email.ts';

const ADDRESSES: readonly [text: string, form: string | undefined][] = [
  ['Some.One@Example.COM', 'some.one@example.com'],
  ["o'neil+tag/x=@example.com", "o'neil+tag/x=@example.com"],
  ['a@münchen.example', 'a@xn--mnchen-3ya.example'],
  ['a@MÜNCHEN.example', 'a@xn--mnchen-3ya.example'],
  ['a@xn--mnchen-3ya.example', 'a@xn--mnchen-3ya.example'],
  ['a@ｅｘａｍｐｌｅ．com', 'a@example.com'],
  ['root@localhost', 'root@localhost'],
  [`${'a'.repeat(64)}@example.com`, `${'a'.repeat(64)}@example.com`],
  [`${'a'.repeat(65)}@example.com`, undefined],
  [`a@${'b.'.repeat(126)}example`, undefined],
  [`a@${'b'.repeat(64)}.example`, undefined],
  ['K@example.com'.replace('K', '\u212a'), undefined], // the Kelvin sign is a k in small letters
  ['é@example.com', undefined],
  ['"quoted"@example.com', undefined],
  ['a..b@example.com', undefined],
  ['.a@example.com', undefined],
  ['a.@example.com', undefined],
  ['a@b@example.com', undefined],
  ['@example.com', undefined],
  ['a@', undefined],
  ['a', undefined],
  ['', undefined],
  [' a@example.com', undefined],
  ['a@example.com ', undefined],
  ['a@example.com\n', undefined],
  ['a@exam ple.com', undefined],
  ['a@example.com.', undefined],
  ['a@-example.com', undefined],
  ['a@exa_mple.com', undefined],
  ['a@[127.0.0.1]', undefined],
  ['a@127.0.0.1', undefined],
  ['a@0x7f.1', undefined],
  ['a@1', undefined],
  ['a@%65xample.com', undefined],
  ['a@example.com:25', undefined],
  ['a@example.com/x', undefined],
  ['a@example.com?x', undefined],
  ['a@example.com#x', undefined],
  ['a@example.com\\x', undefined],
  ['a\0@example.com', undefined],
];

for (const [text, form] of ADDRESSES) {
  test(`${JSON.stringify(text.slice(0, 80))} is ${form?.slice(0, 80) ?? 'no address'}`, (t) => {
    t.is(parseEmail(text), form);
    if (form) t.is(parseEmail(form), form);
  });
}

test('text that goes on is refused at once', (t) => {
  const startedAt = performance.now();
  t.is(parseEmail(`${'a.'.repeat(1_000_000)}@example.com`), undefined);
  t.is(parseEmail(`a@${'\u0300'.repeat(1_000_000)}`), undefined);
  t.true(performance.now() - startedAt < 1_000);
});

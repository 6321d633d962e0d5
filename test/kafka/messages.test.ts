import test from 'ava';
import fc from 'fast-check';
import { formatAnswer, MESSAGE_MAX_BYTES, parseRequest } from '../../src/kafka/messages.ts';

const parse = (text: string, key?: Buffer) => parseRequest(key, Buffer.from(text));

test('a request is a token, perhaps with an id; what else it has is ignored', (t) => {
  t.deepEqual(parse('{"token":"T"}'), { token: 'T', id: undefined });
  t.deepEqual(parse('{"token":"T","id":null}'), { token: 'T', id: undefined });
  t.deepEqual(parse('{"token":"T","id":"7"}'), { token: 'T', id: '7' });
  t.deepEqual(parse('{"token":"T","id":""}'), { token: 'T', id: '' });
  t.deepEqual(parse('{"token":"T","id":7,"service":"shop"}'), { token: 'T', id: 7 });
  t.deepEqual(parse('\ufeff{"token":"T"}'), { token: 'T', id: undefined });
  t.deepEqual(parse('{"token":""}'), { token: '', id: undefined });
  t.is(parse(JSON.stringify({ token: 'T', id: 'é'.repeat(256) }))?.id, 'é'.repeat(256));
});

const MALFORMED: readonly string[] = [
  ...['', ' ', 'x', 'null', '1', '"token"', '[]', '["token"]', '{}', '{"token":"T"', '{"token":"T"}}', "{'token':'T'}"],
  ...['{"token":1}', '{"token":null}', '{"token":["T"]}', '{"token":{"token":"T"}}', '{"Token":"T"}', '{"id":"1"}'],
  ...['{"__proto__":{"token":"T"}}', '{"token":"\\ud800"}', '[{"token":"T"}]', 'token=T'],
  ...['true', '{}', '[]', '1.5', '9007199254740993', '1e400', '"\\udfff"'].map((id) => `{"token":"T","id":${id}}`),
  JSON.stringify({ token: 'T', id: 'x'.repeat(257) }),
];
for (const text of MALFORMED) {
  test(`is malformed: ${text.slice(0, 40) || 'nothing'}`, (t) => {
    t.is(parse(text), undefined);
  });
}

test('is malformed: no value, text that is not UTF-8, more than 64 KiB with the key', (t) => {
  t.is(parseRequest(undefined, undefined), undefined);
  t.is(parseRequest(undefined, Buffer.from([...Buffer.from('{"token":"'), 0xff, ...Buffer.from('"}')])), undefined);
  t.is(parseRequest(undefined, Buffer.from('{"token":"T"}', 'utf16le')), undefined);
  const most = (length: number) => `{"token":"${'T'.repeat(length - 12)}"}`;
  t.truthy(parse(most(MESSAGE_MAX_BYTES)));
  t.is(parse(most(MESSAGE_MAX_BYTES + 1)), undefined);
  t.truthy(parse(most(MESSAGE_MAX_BYTES - 5), Buffer.alloc(5)));
  t.is(parse(most(MESSAGE_MAX_BYTES - 4), Buffer.alloc(5)), undefined);
  t.is(parse('['.repeat(MESSAGE_MAX_BYTES)), undefined);
});

test('whatever comes, the parser does not throw', (t) => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.json().map((text) => Buffer.from(text)),
  );
  fc.assert(fc.property(bytes, (value) => void parseRequest(undefined, Buffer.from(value))));
  t.pass();
});

test('an answer has the id as it came, the user of a good token, and never the token', (t) => {
  const user = { user_id: 'u', email: 'e', role: 'member', session_id: 's', expires_at: '2026-01-01T00:00:00.000Z' };
  const read = (answer: Buffer): unknown => JSON.parse(String(answer));
  t.deepEqual(read(formatAnswer({ token: 'T', id: 0 }, user)), { id: 0, authenticated: true, user });
  t.deepEqual(read(formatAnswer({ token: 'T', id: '' }, undefined)), { id: '', authenticated: false });
  t.deepEqual(read(formatAnswer({ token: 'T', id: undefined }, undefined)), { authenticated: false });
});

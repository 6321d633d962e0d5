import { gzipSync } from 'node:zlib';
import {
  type Add,
  BODY,
  COMPLETE,
  chunk,
  chunked,
  create,
  createWith,
  get,
  HOST,
  KEY,
  LIMIT,
  SMUGGLED,
  sized,
  UNFINISHED,
} from './case.ts';

const withBody = (body: string | Buffer): Buffer => {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  return Buffer.concat([Buffer.from(create(`Content-Length: ${bytes.length}\r\n`, '')), bytes]);
};

function addBodies(add: Add): void {
  const deep = 30_000;
  for (const [name, body] of [
    ['not UTF-8', '{"secret":"\xff"}'],
    ['an overlong slash', '{"secret":"\xc0\xaf"}'],
    ['an overlong quote', '{"secret":"\xc0\xa2}'],
    ['a surrogate in UTF-8', '{"secret":"\xed\xa0\x80"}'],
    ['a character cut off', '{"secret":"\xf0\x9f"}'],
    ['beyond Unicode', '{"secret":"\xf4\x90\x80\x80"}'],
    ['a lone high surrogate', '{"secret":"\\ud800"}'],
    ['a lone low surrogate', '{"secret":"\\udc00"}'],
    ['surrogates the wrong way round', '{"secret":"\\udc00\\ud800"}'],
    ['a surrogate in a name', '{"\\ud800":"s"}'],
    ['NUL', '{"secret":"a\x00b"}'],
    ['NUL escaped', '{"secret":"a\\u0000b"}'],
    ['a byte order mark', `\xef\xbb\xbf${BODY}`],
    ['deep lists', '['.repeat(deep)],
    ['deep lists, closed', '['.repeat(deep) + ']'.repeat(deep)],
    ['deep objects', '{"a":'.repeat(deep)],
    ['a deep secret', `{"secret":${'['.repeat(deep)}${']'.repeat(deep)}}`],
    ['a member twice', '{"secret":"a","secret":"b"}'],
    ['__proto__', '{"__proto__":{"secret":"s"}}'],
    ['__proto__ beside', '{"secret":"s","__proto__":{"ttl":{}}}'],
    ['constructor', '{"secret":"s","constructor":{"prototype":{}}}'],
    ['a number beyond all', '{"secret":"s","ttl":{"days":1e999}}'],
    ['a long number', `{"secret":"s","ttl":{"days":${'9'.repeat(5_000)}}}`],
    ['a negative number', '{"secret":"s","ttl":{"days":-1}}'],
    ['NaN', '{"secret":NaN}'],
    ['a list of secrets', '{"secret":["s"]}'],
    ['an operator', '{"secret":{"$ne":""}}'],
    ['a comment', '{"secret":"s"/**/}'],
    ['single quotes', "{'secret':'s'}"],
    ['a comma too many', '{"secret":"s",}'],
    ['two objects', `${BODY}${BODY}`],
    ['text behind', `${BODY}x`],
    ['null', 'null'],
    ['a list', '[]'],
    ['a string', '"s"'],
    ['blanks', '   '],
    ['a form', 'secret=s'],
    ['XML', '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'],
    ['an unknown member with a key', `{"secret":"s","${KEY}":1}`],
    ['a member of 60 kB', `{"${'a'.repeat(60_000)}":1}`],
    ['20,000 members', `{${Array.from({ length: 20_000 }, (_, n) => `"a${n}":1`).join()}}`],
    ['more than a secret may hold', JSON.stringify({ secret: 'a'.repeat(1024 * 1024 + 1) })],
    ['a byte over the limit', `${BODY}${' '.repeat(LIMIT - BODY.length + 1)}`],
    ['9 MB', `${BODY}${' '.repeat(9_000_000)}`],
  ] as const) {
    add(`body: ${name}`, withBody(body));
  }
  add('body: compressed, and not said so', withBody(gzipSync(BODY)));
  add('body: UTF-16', withBody(Buffer.from(BODY, 'utf16le')));
}

function addConnections(add: Add): void {
  const request = create(sized(BODY));
  add('our side closed behind a request', request, { ending: 'end' });
  add('our side closed in a head', 'POST /generate HTTP/1.1\r\nHost: x\r\nCon', { ending: 'end' });
  add('our side closed in a body', create('Content-Length: 50\r\n'), { ending: 'end' });
  add('our side closed in a chunk', chunked(`ff\r\n${BODY}`), { ending: 'end' });
  add('our side closed before the last chunk', chunked(chunk(BODY)), { ending: 'end' });
  add('our side closed behind a request and a half', `${request}POST /gen`, { ending: 'end' });
  add('our side closed at once', '', { ending: 'end' });
  add('reset in a head', 'POST /generate HTTP/1.1\r\nHost: x\r\nCon', { ending: 'reset' });
  add('reset in a body', create('Content-Length: 50\r\n'), { ending: 'reset' });
  add('reset in a chunk', chunked(`ff\r\n${BODY}`), { ending: 'reset' });
  add('byte by byte', [...request]);
  add('byte by byte, chunked', [...chunked(COMPLETE)]);
  add('pauses in the head', [
    'POST /gen',
    40,
    'erate HTTP/1.1\r',
    40,
    '\nHost: x\r\n',
    40,
    `${sized(BODY)}\r`,
    40,
    `\n${BODY}`,
  ]);
  add('pauses in the body', [create(sized(BODY), ''), 40, BODY.slice(0, 5), 40, BODY.slice(5)]);
  add('pauses in a chunk', [
    chunked('e', 'Transfer-Encoding: chunked'),
    40,
    '\r',
    40,
    `\n${BODY.slice(0, 3)}`,
    40,
    `${BODY.slice(3)}\r`,
    40,
    '\n0\r\n\r',
    40,
    '\n',
  ]);
  add('20 requests at once', request.repeat(20));
  add('20 requests at once, the last one malformed', `${request.repeat(19)}NONSENSE\r\n\r\n`);
  add('a malformed request between two', `${request}NONSENSE\r\n\r\n${SMUGGLED}`);
  add('a request without Host between two', `${request}GET / HTTP/1.1\r\n\r\n${SMUGGLED}`);
  add('a closing request before another', `${create(`Connection: close\r\n${sized(BODY)}`)}${SMUGGLED}`);
  add('a request of HTTP/1.0 before another', `${create(sized(BODY), BODY, 'POST /generate HTTP/1.0')}${SMUGGLED}`);
  add('an unmet expectation before another', `${createWith('Expect: a-miracle')}${SMUGGLED}`);
  add(
    'an unmet expectation, and the body later',
    [create(`Expect: a-miracle\r\n${sized(BODY)}`, ''), 60, BODY],
    UNFINISHED,
  );
  add('a body that waits for 100 Continue', [create(`Expect: 100-continue\r\n${sized(BODY)}`, ''), 60, BODY]);
  add(
    'a refused path with a large body before another',
    `${create(`Content-Length: 100000\r\n`, ' '.repeat(100_000), 'POST /nowhere HTTP/1.1')}${get('/nowhere')}`,
  );
  add('TRACE before another', `TRACE / HTTP/1.1\r\n${HOST}\r\n${SMUGGLED}`);
  add('an unknown method before another', `BREW / HTTP/1.1\r\n${HOST}\r\n${SMUGGLED}`);
  add('a path too long before another', `${get(`/${'a'.repeat(20_000)}`)}${SMUGGLED}`);
  add('two methods in a row', `GET ${create(sized(BODY))}`);
  add('a HEAD', `HEAD /nowhere HTTP/1.1\r\n${HOST}\r\n`, { isHead: true, ...UNFINISHED });
}

/** Bodies, and what is done with a connection. */
export function addContent(add: Add): void {
  addBodies(add);
  addConnections(add);
}

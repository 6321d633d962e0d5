import test from 'ava';
import { type AnswerHead, InvalidAnswer } from '../../src/egress/answer-head.ts';
import { createAnswerReader } from '../../src/egress/answer-reader.ts';

// What the reader of answers makes of bytes, in whatever parts they arrive.

type Seen = { interim: number[]; status?: number; content: string; end?: 'alone' | 'followed'; idleMs?: number };

/** @param partBytes how many bytes arrive at once. @param isEnded whether the other side ends the connection then. */
function read(text: string, { partBytes = text.length, isEnded = false } = {}): Seen | string {
  const seen: Seen = { interim: [], content: '' };
  const reader = createAnswerReader({
    onInterim: (status) => seen.interim.push(status),
    onHead({ status, idleMs }: AnswerHead) {
      seen.status = status;
      if (idleMs !== undefined) seen.idleMs = idleMs;
    },
    onContent(content) {
      seen.content += content.toString('latin1');
    },
    onEnd(isAlone) {
      seen.end = isAlone ? 'alone' : 'followed';
    },
  });
  const bytes = Buffer.from(text, 'latin1');
  try {
    for (let at = 0; at < bytes.length && !seen.end; at += partBytes) reader.take(bytes.subarray(at, at + partBytes));
    if (isEnded && !seen.end) reader.finish();
  } catch (error) {
    if (!(error instanceof InvalidAnswer)) throw error;
    return error.message;
  }
  return seen;
}

const OK = 'HTTP/1.1 200 OK\r\n';
const IDLE = { idleMs: 4_000 };

for (const [title, text, expected] of [
  ['a length', `${OK}Content-Length: 5\r\n\r\nhello`, { content: 'hello', end: 'alone', ...IDLE }],
  ['blanks around a value', `${OK}Content-Length:\t 5 \t\r\n\r\nhello`, { content: 'hello', end: 'alone', ...IDLE }],
  ['no blank before a value', `${OK}Content-Length:5\r\n\r\nhello`, { content: 'hello', end: 'alone', ...IDLE }],
  ['zeros before a length', `${OK}Content-Length: ${'0'.repeat(40)}5\r\n\r\nhello`, { content: 'hello', ...IDLE }],
  ['no reason', 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n', { content: '', end: 'alone', ...IDLE }],
  ['an empty reason', 'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n', { content: '', end: 'alone', ...IDLE }],
  ['a reason of 8 bits', 'HTTP/1.1 200 caf\xe9\r\nContent-Length: 0\r\n\r\n', { content: '', end: 'alone', ...IDLE }],
  ['an unknown status', 'HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n', { status: 799, end: 'alone', ...IDLE }],
  ['100 that nobody asked for', `HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 0\r\n\r\n`, { interim: [100] }],
  [
    'hints',
    `HTTP/1.1 103 H\r\nLink: <x>\r\n\r\nHTTP/1.1 100 C\r\n\r\n${OK}Content-Length: 0\r\n\r\n`,
    { interim: [103, 100] },
  ],
  [
    'chunks',
    `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a="b"\r\n!\r\n0\r\nX: t\r\n\r\n`,
    { content: 'hello!', end: 'alone', ...IDLE },
  ],
  [
    'blanks around chunks',
    `${OK}Transfer-Encoding: Chunked \r\n\r\n5  \r\nhello\r\n0000A ; x\r\n0123456789\r\n0 \r\n\r\n`,
    { content: 'hello0123456789', ...IDLE },
  ],
  ['no body after 204', 'HTTP/1.1 204 No\r\n\r\n', { end: 'alone', ...IDLE }],
  ['no body after 304', 'HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n', { end: 'alone', ...IDLE }],
  ['bytes after its end', `${OK}Content-Length: 5\r\n\r\nhello!`, { content: 'hello', end: 'followed' }],
] as const) {
  test(`an answer with ${title} is read, however it is cut into parts`, (t) => {
    for (const partBytes of [1, 2, 7, text.length]) {
      const seen = read(text, { partBytes });
      if (title === 'bytes after its end') t.like(seen, { content: 'hello' });
      else t.like(seen, expected, `${partBytes}`);
    }
  });
}

for (const [title, text] of [
  ['a line end of one byte', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n'],
  ['another version', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a status below 100', 'HTTP/1.1 099 Odd\r\n\r\n'],
  ['another protocol', 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n'],
  ['a blank before a colon', `${OK}Content-Length : 5\r\n\r\n`],
  ['a folded line', `${OK}X: a\r\n Set-Cookie: b=c\r\n\r\n`],
  ['a folded first line', `${OK} X: a\r\n\r\n`],
  ['a line without a name', `${OK}: a\r\n\r\n`],
  ['a line without a colon', `${OK}X\r\n\r\n`],
  ['a control character', `${OK}X: a\x01b\r\n\r\n`],
  ['a bare CR', `${OK}X: a\rb\r\n\r\n`],
  ['a zero byte', `${OK}X: a\0b\r\n\r\n`],
  ['two lengths', `${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`],
  ['a list of lengths', `${OK}Content-Length: 1, 1\r\n\r\n`],
  ['a negative length', `${OK}Content-Length: -1\r\n\r\n`],
  ['a length with a sign', `${OK}Content-Length: +1\r\n\r\n`],
  ['a length in hex', `${OK}Content-Length: 0x1\r\n\r\n`],
  ['an empty length', `${OK}Content-Length:\r\n\r\n`],
  ['a length beyond any number', `${OK}Content-Length: ${'9'.repeat(30)}\r\n\r\n`],
  ['a length and chunks', `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`],
  ['another encoding', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`],
  ['encodings in two lines', `${OK}Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n`],
  ['a size of a chunk that is none', `${OK}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
  ['a size of a chunk with a sign', `${OK}Transfer-Encoding: chunked\r\n\r\n+5\r\n`],
  ['a size of a chunk beyond any number', `${OK}Transfer-Encoding: chunked\r\n\r\n${'f'.repeat(17)}\r\n`],
  ['a chunk longer than its size', `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n`],
  ['an invalid trailer', `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n`],
  ['trailers without end', `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n${'X: yyyyyyyy\r\n'.repeat(2_000)}`],
  ['a size of a chunk without end', `${OK}Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(20_000)}`],
  ['a head that is too large', `${OK}X: ${'x'.repeat(20_000)}`],
] as const) {
  test(`an answer with ${title} is refused`, (t) => {
    for (const partBytes of [1, 1_000, text.length]) t.is(typeof read(text, { partBytes }), 'string', `${partBytes}`);
  });
}

for (const [title, head, expected] of [
  ['a length that is not reached', `${OK}Content-Length: 6`, false],
  ['chunks without the last one', `${OK}Transfer-Encoding: chunked`, false],
  ['neither', OK.slice(0, -2), true],
  ['neither, in HTTP/1.0', 'HTTP/1.0 200 OK', true],
] as const) {
  test(`the end of the connection ${expected ? 'ends' : 'breaks'} an answer with ${title}`, (t) => {
    const body = head.includes('chunked') ? '5\r\nhello\r\n' : 'hello';
    const seen = read(`${head}\r\n\r\n${body}`, { isEnded: true });
    if (expected) t.deepEqual(seen, { interim: [], status: 200, content: 'hello', end: 'followed' });
    else t.is(typeof seen, 'string');
  });
}

for (const [lines, idleMs, version = '1.1'] of [
  [[], 4_000],
  [['Connection: close'], undefined],
  [['Connection: x , CLOSE'], undefined],
  [['connection: x', 'Connection: close'], undefined],
  [['Keep-Alive: timeout=6'], 5_000],
  [['Keep-Alive: max=10, timeout = 6'], 5_000],
  [['Keep-Alive: timeout=1'], undefined],
  [[`Keep-Alive: timeout=${'9'.repeat(400)}`], 30_000],
  [[], undefined, '1.0'],
  [['Connection: Keep-Alive'], 4_000, '1.0'],
] as const) {
  test(`after an answer of HTTP/${version} with ${lines.join(', ') || 'no word of it'} a connection is kept for ${idleMs}`, (t) => {
    const seen = read([`HTTP/${version} 200 OK`, ...lines, 'Content-Length: 0', '', ''].join('\r\n'));
    t.is((seen as Seen).idleMs, idleMs);
  });
}

import { type Add, BODY, COMPLETE, chunk, chunked, create, HOST, LIMIT, SMUGGLED, sized, UNFINISHED } from './case.ts';

function addLengths(add: Add): void {
  add('length and chunked', create(`Content-Length: 4\r\nTransfer-Encoding: chunked\r\n`, `${COMPLETE}${SMUGGLED}`));
  add('chunked and length', create(`Transfer-Encoding: chunked\r\nContent-Length: 4\r\n`, `${COMPLETE}${SMUGGLED}`));
  add('chunked and length 0', create(`Transfer-Encoding: chunked\r\nContent-Length: 0\r\n`, `0\r\n\r\n${SMUGGLED}`));
  add(
    'length covers a request behind the last chunk',
    create(`Content-Length: ${5 + SMUGGLED.length}\r\nTransfer-Encoding: chunked\r\n`, `0\r\n\r\n${SMUGGLED}`),
  );
  for (const value of ['14', '15', '4', '0']) {
    add(`two lengths, 14 and ${value}`, create(`Content-Length: 14\r\nContent-Length: ${value}\r\n`));
  }
  for (const value of [
    '14, 14',
    '14,15',
    '+14',
    '-1',
    '-14',
    '0x0e',
    '14.0',
    '1e1',
    '14abc',
    'abc',
    '',
    '14 14',
    '14\x00',
    '14\x0b',
    '\x0b14',
    '"14"',
    '\xef\xbc\x91\xef\xbc\x94',
    '2147483648',
    '4294967310',
    '9223372036854775807',
    '9223372036854775808',
    '18446744073709551630',
    '9'.repeat(30),
  ]) {
    add(`length ${JSON.stringify(value)}`, create(`Content-Length: ${value}\r\n`), {
      isUnfinished: /^\d{10}/.test(value),
    });
  }
  for (const value of [' 14', '14 ', '\t14\t', '00014', `${'0'.repeat(300)}14`]) {
    add(`length ${JSON.stringify(value.slice(0, 20))}`, create(`Content-Length:${value}\r\n`));
  }
  add('blank before the colon of the length', create('Content-Length : 14\r\n'));
  add('tab before the colon of the length', create('Content-Length\t: 14\r\n'));
  add('length with an underscore', create('Content_Length: 14\r\n', BODY));
  add('length on a folded line', create('Content-Length:\r\n 14\r\n'));
  add('length in the line before, after a bare CR', create(`A: b\rContent-Length: 14\r\n`));
  add('length in the line before, after a bare LF', create(`A: b\nContent-Length: 14\r\n`));
  add('a POST without any length', create('', ''));
  add('a POST without any length, and a request behind', create('', SMUGGLED));
  add('a GET with a body that is a request', `GET / HTTP/1.1\r\n${HOST}${sized(SMUGGLED)}\r\n${SMUGGLED}`);
  add(
    'a GET with a chunked body that is a request',
    `GET / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunk(SMUGGLED)}0\r\n\r\n`,
  );
  add('a HEAD with a body that is a request', `HEAD / HTTP/1.1\r\n${HOST}${sized(SMUGGLED)}\r\n${SMUGGLED}`, {
    isHead: true,
    ...UNFINISHED,
  });
  add('length shorter than the body', create('Content-Length: 5\r\n', BODY));
  add('length longer than the body', create('Content-Length: 500\r\n', BODY), UNFINISHED);
}

function addTransferEncodings(add: Add): void {
  for (const value of [
    'chunked, identity',
    'identity, chunked',
    'identity',
    'xchunked',
    'chunkedx',
    'chunked, chunked',
    '"chunked"',
    "'chunked'",
    'chunked;q=1',
    'gzip, chunked',
    'gzip',
    'deflate',
    'trailers',
    '',
    'chunked,',
    ',chunked',
    'cow',
    'chunked\x00',
    '\x0bchunked',
    'chunked\x0b',
    'chun ked',
    'chunked\x85',
    'x'.repeat(3000),
  ]) {
    add(`encoding ${JSON.stringify(value.slice(0, 20))}`, chunked(`${COMPLETE}`, `Transfer-Encoding: ${value}`));
  }
  for (const value of ['Chunked', 'CHUNKED', '\tchunked', 'chunked \t', ' chunked']) {
    add(`encoding ${JSON.stringify(value)}`, chunked(COMPLETE, `Transfer-Encoding:${value}`));
  }
  for (const [name, te] of [
    ['two encodings, chunked and identity', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity'],
    ['two encodings, identity and chunked', 'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked'],
    ['two encodings, both chunked', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'],
    ['blank before the colon of the encoding', 'Transfer-Encoding : chunked'],
    ['encoding with an underscore', 'Transfer_Encoding: chunked'],
    ['encoding on a folded line', 'Transfer-Encoding:\r\n chunked'],
    ['encoding on a line that begins with a blank', ' Transfer-Encoding: chunked'],
    ['encoding after a bare CR', 'A: b\rTransfer-Encoding: chunked'],
    ['encoding after a bare LF', 'A: b\nTransfer-Encoding: chunked'],
    ['NUL in the name of the encoding', 'Transfer-Encoding\x00: chunked'],
    ['encoding named by Connection', 'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked'],
    ['length named by Connection', 'Connection: Content-Length\r\nTransfer-Encoding: chunked'],
    ['an encoding, a folded line and a length', `Transfer-Encoding: chunked\r\nA:\r\n b\r\nContent-Length: 3`],
  ] as const) {
    add(name, chunked(`${COMPLETE}${name.includes('underscore') ? '' : SMUGGLED}`, te));
  }
  add('chunked in HTTP/1.0', `POST /generate HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${COMPLETE}`);
  add(
    'chunked in HTTP/1.0, and a length',
    `POST /generate HTTP/1.0\r\n${HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n${COMPLETE}`,
  );
}

function addChunks(add: Add): void {
  const first = (size: string, end = '\r\n'): string => chunked(`${size}\r\n${BODY}${end}0\r\n\r\n`);
  for (const size of [
    'ffffffffffffffff',
    'fffffffffffffffe',
    '10000000000000000e',
    '1000000000000000e',
    '7fffffffffffffff',
    '8000000000000000',
    '-e',
    '+e',
    '0xe',
    ' e',
    '\te',
    'g',
    '',
    '\x00e',
    'e\x00',
    'e e',
    'e\x0b',
    'e;',
    'e;a',
    'e;a=b',
    'e;a="b c"',
    'e;a="b;c',
    'e;a=\x00',
    'e;a=\x01',
    'e;a=b\nc',
    'e;a=b\rc',
    'e ;a',
    'e,a',
    `e;${'a'.repeat(3_000)}`,
    `e;${'a'.repeat(20_000)}`,
    `e;${'a=b;'.repeat(2_000)}`,
    'E',
    'e ',
    'e\t',
    '0000e',
    `${'0'.repeat(15)}e`,
    `${'0'.repeat(300)}e`,
  ]) {
    add(
      `chunk size ${JSON.stringify(size.slice(0, 24))}${size.length > 24 ? ` … of ${size.length}` : ''}`,
      first(size),
      { isUnfinished: /^[1-9f][0-9a-f]{14,}$/.test(size) },
    );
  }
  add('LF alone after the chunk size', chunked(`e\n${BODY}\r\n0\r\n\r\n`));
  add('CR alone after the chunk size', chunked(`e\r${BODY}\r\n0\r\n\r\n`));
  add('LF alone after the chunk', first('e', '\n'));
  add('CR alone after the chunk', first('e', '\r'));
  add('nothing after the chunk', first('e', ''));
  add('two bytes too many in the chunk', first('e', 'xx\r\n'));
  add('LF alone after the last chunk', chunked(`${chunk(BODY)}0\n\n`));
  add('CR LF LF after the last chunk', chunked(`${chunk(BODY)}0\r\n\n`));
  add('several zeros as the last chunk', chunked(`${chunk(BODY)}000\r\n\r\n`));
  add('an extension of the last chunk', chunked(`${chunk(BODY)}0;a=b\r\n\r\n`));
  add('minus zero as the last chunk', chunked(`${chunk(BODY)}-0\r\n\r\n`));
  add('a chunk for each byte', chunked(`${[...BODY].map(chunk).join('')}0\r\n\r\n`));
  add('5,000 chunks of a byte', chunked(`${chunk(' ').repeat(5_000)}${COMPLETE}`));
  add('a request in the extension of a chunk', chunked(`e;\r\n${BODY}\r\n0;\r\n\r\n${SMUGGLED}`));
  for (const [name, trailer] of [
    ['a trailer', 'A: b'],
    ['a length', 'Content-Length: 5'],
    ['an encoding', 'Transfer-Encoding: chunked'],
    ['a host', 'Host: y'],
    ['an authorization', 'Authorization: Bearer x'],
    ['a line without a colon', 'nonsense'],
    ['an empty name', ': x'],
    ['a blank in the name', 'a b: c'],
    ['NUL', 'a: \x00'],
    ['a folded line', 'a: b\r\n c'],
    ['a bare LF', 'a: b\nc: d'],
    ['20 kB', `a: ${'b'.repeat(20_000)}`],
    ['2,000 lines', Array.from({ length: 2_000 }, (_, n) => `a${n}: b`).join('\r\n')],
  ] as const) {
    add(`behind the last chunk ${name}`, chunked(`${chunk(BODY)}0\r\n${trailer}\r\n\r\n`));
  }
  add('chunks larger than the limit', chunked(`${chunk(' '.repeat(LIMIT))}${chunk(' ')}${COMPLETE}`));
  add('a chunk that never ends', chunked('ffff\r\nabc'), UNFINISHED);
}

/** Where a body, and so a request, ends. */
export function addFraming(add: Add): void {
  addLengths(add);
  addTransferEncodings(add);
  addChunks(add);
}

import { hash } from 'node:crypto';
import { type Add, BODY, create, HOST, KEY, SMUGGLED, sized, UNFINISHED } from './case.ts';

const noise = (seed: number): Buffer =>
  Buffer.concat(Array.from({ length: 9 }, (_, n) => hash('sha512', `${seed} ${n}`, 'buffer')));
const to = (target: string): string => create(sized(BODY), BODY, `POST ${target} HTTP/1.1`);

function addRequestLines(add: Add): void {
  for (const method of [
    'TRACE',
    'TRACK',
    'PUT',
    'PATCH',
    'PROPFIND',
    'SEARCH',
    'M-SEARCH',
    'PURGE',
    'QUERY',
    'BREW',
    'DEBUG',
    'LINK',
    'SOURCE',
    'X'.repeat(40),
    'X-Y',
    'X_Y',
    'post',
    'Post',
    'P\x00ST',
    'P\x80ST',
    'PO(ST',
    '{}',
    '',
  ]) {
    add(`method ${JSON.stringify(method.slice(0, 20))}`, create(sized(BODY), BODY, `${method} /generate HTTP/1.1`));
  }
  add('a method of 9 kB', create(sized(BODY), BODY, `${'X'.repeat(9_000)} /generate HTTP/1.1`));
  add('CONNECT with a path', `CONNECT /generate HTTP/1.1\r\n${HOST}\r\n`);
  add('CONNECT with an authority', 'CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n');
  add('CONNECT and a request behind', `CONNECT x:1 HTTP/1.1\r\n${HOST}\r\n${SMUGGLED}`);
  for (const version of [
    'HTTP/0.9',
    'HTTP/1.2',
    'HTTP/1.9',
    'HTTP/1.10',
    'HTTP/1.',
    'HTTP/.1',
    'HTTP/1',
    'HTTP/2',
    'HTTP/2.0',
    'HTTP/3.0',
    'HTTP/11.1',
    'HTTP/01.1',
    'HTTP/1.01',
    'HTTP/1,1',
    'HTTP /1.1',
    'http/1.1',
    'HTTPS/1.1',
    'ICE/1.0',
    'RTSP/1.0',
    'SIP/2.0',
    'HTTP/1.1 ',
    'HTTP/1.1 x',
    'HTTP/1.1\t',
    'HTTP/1.1\x00',
    'HTTP/1.1\r',
    '',
  ]) {
    add(`version ${JSON.stringify(version)}`, create(sized(BODY), BODY, `POST /generate ${version}`), {
      isUnfinished: version === '',
    });
  }
  add('no version, as in HTTP/0.9', 'GET /generate\r\n\r\n', UNFINISHED);
  add('HTTP/1.0 without Host', `POST /generate HTTP/1.0\r\n${sized(BODY)}\r\n${BODY}`);
  add('HTTP/1.0 kept alive', `POST /generate HTTP/1.0\r\nConnection: keep-alive\r\n${sized(BODY)}\r\n${BODY}`);
  for (const [name, line] of [
    ['two blanks before the path', 'POST  /generate HTTP/1.1'],
    ['two blanks before the version', 'POST /generate  HTTP/1.1'],
    ['a tab before the path', 'POST\t/generate HTTP/1.1'],
    ['a tab before the version', 'POST /generate\tHTTP/1.1'],
    ['a blank before the method', ' POST /generate HTTP/1.1'],
    ['a tab before the method', '\tPOST /generate HTTP/1.1'],
    ['no blank before the path', 'POST/generate HTTP/1.1'],
    ['an empty line before', '\r\nPOST /generate HTTP/1.1'],
    ['an LF before', '\nPOST /generate HTTP/1.1'],
    ['a CR before', '\rPOST /generate HTTP/1.1'],
    ['300 empty lines before', `${'\r\n'.repeat(300)}POST /generate HTTP/1.1`],
    ['a byte order mark before', '\xef\xbb\xbfPOST /generate HTTP/1.1'],
    ['a blank in the path', 'POST /gene rate HTTP/1.1'],
    ['a bare CR in the path', 'POST /gene\rrate HTTP/1.1'],
    ['a form feed before the path', 'POST \x0c/generate HTTP/1.1'],
  ] as const) {
    add(`request line: ${name}`, create(sized(BODY), BODY, line));
  }
  for (const [name, text] of [
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00'],
    ['a client hello of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['SMTP', 'EHLO example.org\r\n'],
    ['Redis', '*1\r\n$4\r\nPING\r\n'],
    ['PROXY protocol 1', `PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n${create(sized(BODY))}`],
    ['PROXY protocol 2', `\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c${'\x01'.repeat(12)}${create(sized(BODY))}`],
    ['an answer in place of a request', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['empty lines and nothing else', '\r\n\r\n\r\n'],
    ['NUL bytes', '\x00'.repeat(64)],
  ] as const) {
    add(`not HTTP: ${name}`, text, UNFINISHED);
  }
  for (let n = 0; n < 8; n++) add(`noise ${n}`, noise(n), UNFINISHED);
}

function addTargets(add: Add): void {
  for (const target of [
    'http://x/generate',
    'HTTP://x/generate',
    'http://other/generate',
    'https://x/generate',
    'ftp://x/generate',
    'http://user:pass@x/generate',
    'http://x:99999/generate',
    'http://x:/generate',
    'http://x:80a/generate',
    'http:///generate',
    'http://',
    'http:',
    'http://[/generate',
    'http://[::1]/generate',
    'http://x?y',
    'http://x',
    'http:/generate',
    '://x/generate',
    'example.org:443',
    '*',
    'generate',
    '\\generate',
    '/\\generate',
    '//generate',
    '///generate',
    '/generate//',
    '/./generate',
    '/../generate',
    '/a/../generate',
    '/generate/.',
    '/generate/..',
    '/%2e/generate',
    '/%2e%2e/generate',
    '/a/%2e%2e/generate',
    '/..;/generate',
    '/generate/../../generate',
    '/%67enerate',
    '/GENERATE',
    '/generate%00',
    '/generate%20',
    '/generate%2f',
    '/generate%0d%0aX:y',
    '/generate;x=1',
    '/generate#f',
    '/generate?x#f',
    '#',
    '?',
    '/generate?',
    '/generate?a=%',
    '/generate?a=%zz',
    '/generate?\x80\xff',
    '/generate??',
    '/generate?a=/../b',
    '/generate\x00',
    '/generate\x7f',
    '/generate\x80',
    '/gener\xc3\xa4te',
    '/%c0%af',
    '/%c0%ae%c0%ae/generate',
    '/%e0%80%af',
    '/%ed%a0%80',
    '/%ff',
    '/%',
    '/%2',
    '/%zz',
    '/%u0067enerate',
    '/{}|^`"<>',
    '/generate"',
    "/generate'",
    `/secrets/${KEY}/../../generate`,
    `/secrets/${KEY}%2f`,
    `/secrets/${KEY}%00`,
    `/secrets//${KEY}`,
    `/secrets/${KEY}//`,
    `/secrets/${KEY}%zz`,
    `/secrets/%`,
    '/secrets/__proto__',
    '/secrets/%5f%5fproto%5f%5f',
    '/secrets/..',
    '/secrets/.',
    '/secrets/%2e%2e',
    `/secrets/${KEY}?x=${KEY}`,
    '/metrics',
    '//metrics',
    '/metrics/',
    '/%6detrics',
    '/METRICS',
    '/metrics?x',
    '/metrics%20',
    '/validateToken',
    '/validatetoken/',
    '/a/../metrics',
    '/.own-error',
    '/nginx_status',
    '/.git/config',
    '/server-status',
  ]) {
    add(`target ${JSON.stringify(target).replaceAll(KEY, 'KEY')}`, to(target));
  }
  for (const bytes of [5_000, 9_000, 17_000, 70_000])
    add(`a path of ${bytes} bytes`, to(`/secrets/${KEY}${'a'.repeat(bytes)}`));
  add('a query of 9,000 bytes', to(`/generate?${'a'.repeat(9_000)}`));
  add('a query of 17,000 bytes', to(`/generate?${'a'.repeat(17_000)}`));
  add('OPTIONS of the whole server', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`);
}

/** Request lines: methods, targets, versions, and what is no request. */
export function addLines(add: Add): void {
  addRequestLines(add);
  addTargets(add);
}

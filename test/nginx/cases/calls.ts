import { type Add, BODY, chunk, create, HOST, KEY, SMUGGLED, sized, UNFINISHED } from './case.ts';

const call = (headers: string, body = BODY, target = '/proxy/'): string =>
  create(headers, body, `POST ${target} HTTP/1.1`);

/** Calls out, which nginx hands on in a way of their own, and where they go by default. */
export function addCalls(add: Add): void {
  for (const target of [
    '/proxy',
    '/proxy/',
    '/proxy?',
    '/proxy/?x',
    '/proxy//',
    '//proxy/',
    '/proxy/.',
    '/./proxy/',
    '/x/../proxy/',
    '/proxy/../generate',
    '/generate/../proxy/',
    '/PROXY/',
    '/%70roxy/',
    '/proxy%2f',
    '/proxy/%2e%2e/generate',
    '/proxy/x',
    '/proxy;x',
    '/proxy#x',
    '/proxy/server/',
    'http://x/proxy/',
    `http://y/proxy/?${KEY}`,
    '/server',
    '/server/',
    '/server/../status',
    '/Status',
  ]) {
    add(`call to ${target.replace(KEY, 'KEY')}`, call(sized(BODY), BODY, target));
  }
  for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'CONNECT']) {
    add(`${method} of /proxy/`, `${method} /proxy/ HTTP/1.1\r\n${HOST}\r\n`);
    add(`${method} of /status`, `${method} /status HTTP/1.1\r\n${HOST}\r\n`);
  }
  add('a HEAD of /proxy/', `HEAD /proxy/ HTTP/1.1\r\n${HOST}\r\n`, { isHead: true, ...UNFINISHED });
  for (const value of [
    '',
    'nonsense',
    '/server/',
    'file:///etc/passwd',
    'unix:/run/hushbox/worker-1.sock',
    'http://127.0.0.1:1/',
    'http://localhost/metrics',
    'http://[::1]/',
    'http://0/',
    `http://user:${KEY}@example.org/`,
    `https://127.0.0.1/${'a'.repeat(15_000)}`,
    'http://127.0.0.1/\x01',
    'http://127.0.0.1/\x80\xff',
    'http://127.0.0.1/ x',
    'http://127.0.0.1/\r\n\tfolded',
  ]) {
    add(
      `destination ${JSON.stringify(value.replace(KEY, 'KEY')).slice(0, 40)}`,
      call(`Destination: ${value}\r\n${sized(BODY)}`),
    );
  }
  add('two destinations', call(`Destination: http://127.0.0.1/\r\nDestination: http://[::1]/\r\n${sized(BODY)}`));
  add('a destination with an underscore', call(`Destination_: http://127.0.0.1/\r\n${sized(BODY)}`));
  add('a call that was here before', call(`Via: 1.1 hushbox\r\n${sized(BODY)}`));
  add('a call with a token of its own', call(`x-my-jwt: ${KEY}\r\nX_My_JWT: ${KEY}\r\n${sized(BODY)}`));
  for (const names of ['close', 'keep-alive', 'upgrade', 'content-length', 'transfer-encoding, host', 'x', ',,', '']) {
    add(`call with Connection "${names}"`, call(`Connection: ${names}\r\nUpgrade: h2c\r\n${sized(BODY)}`));
  }
  add('a closing call before another', `${call(`Connection: close\r\n${sized(BODY)}`)}${SMUGGLED}`);
  add('a call with a length and chunks', call(`${sized(BODY)}Transfer-Encoding: chunked\r\n`, `0\r\n\r\n${SMUGGLED}`));
  add('a call with two lengths', call(`Content-Length: 14\r\nContent-Length: 0\r\n`, SMUGGLED));
  add('a call with a length of nothing', call('Content-Length: 0\r\n', SMUGGLED));
  add('a call without a length', call('', SMUGGLED));
  add('a call in chunks', call('Transfer-Encoding: chunked\r\n', `${chunk(BODY)}0\r\n\r\n`));
  add(
    'a call in chunks with a trailer',
    call('Transfer-Encoding: chunked\r\n', `${chunk(BODY)}0\r\nx-my-jwt: y\r\n\r\n`),
  );
  add('a call in chunks before another', call('Transfer-Encoding: chunked\r\n', `${chunk(BODY)}0\r\n\r\n${SMUGGLED}`));
  add('a call with half a chunk', call('Transfer-Encoding: chunked\r\n', 'ff\r\nhalf'), UNFINISHED);
  add('a call with half a body, and our side closed', call('Content-Length: 50\r\n'), { ending: 'end' });
  add('a call with half a body, and reset', call('Content-Length: 50\r\n'), { ending: 'reset' });
  add('a call of 3 MB', call('Content-Length: 3000000\r\n', 'x'.repeat(3_000_000)));
  add('a call that waits for 100 Continue', [call(`Expect: 100-continue\r\n${sized(BODY)}`, ''), 60, BODY]);
  add('20 calls at once', call(sized(BODY)).repeat(20));
}

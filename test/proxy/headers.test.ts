import test from 'ava';
import { headersToReturn, headersToSend, isLoop } from '../../src/proxy/headers.ts';

type Request = Parameters<typeof headersToSend>[0];

const request = (...rawHeaders: string[]): Request => ({ rawHeaders, httpVersion: '1.1' }) as Request;
const OURS = ['Via', '1.1 hushbox', 'x-my-jwt', 'TOKEN'];

for (const name of [
  'Connection',
  'Keep-Alive',
  'Proxy-Authorization',
  'Proxy-Connection',
  'Proxy-Whatever',
  'TE',
  'Trailer',
  'Transfer-Encoding',
  'Upgrade',
  'HTTP2-Settings',
  'Host',
  'Destination',
  'Cookie',
  'Cookie2',
  'Authorization',
  'token',
  'DPoP',
  'X-CSRFToken',
  'x-my-jwt',
  'X_My_JWT',
  'X-My_JWT',
  'Expect',
]) {
  test(`${name} of a request is not passed on, however it is written`, (t) => {
    for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
      t.deepEqual(headersToSend(request(spelling, 'x', 'Accept', '*/*'), 'TOKEN'), ['Accept', '*/*', ...OURS]);
    }
  });
}

test('everything else is passed on as it came: order, case, repeats, bytes above 127', (t) => {
  const headers = ['ACCEPT', '*/*', 'X-A', '1', 'x-a', '2', 'X-Bytes', 'caf\xe9', 'tokens', 'x', 'Via', '1.0 fred'];
  t.deepEqual(headersToSend(request(...headers), 'TOKEN'), [...headers, ...OURS]);
});

test('what Connection names is not passed on, but for what the request needs', (t) => {
  const named = ['Connection', 'close, X-Secret ,x_other', 'connection', 'CONTENT-LENGTH, host, via, x-my-jwt'];
  const sent = headersToSend(
    request(...named, 'x-secret', 's', 'X-Other', 'o', 'Content-Length', '7', 'X-Third', 't'),
    'TOKEN',
  );
  t.deepEqual(sent, ['Content-Length', '7', 'X-Third', 't', ...OURS]);
});

for (const name of [
  'Connection',
  'Keep-Alive',
  'Proxy-Authenticate',
  'TE',
  'Trailer',
  'Transfer-Encoding',
  'Upgrade',
  'Set-Cookie',
  'Set-Cookie2',
  'Clear-Site-Data',
  'Alt-Svc',
  'Strict-Transport-Security',
  'NEL',
  'Report-To',
  'Access-Control-Allow-Origin',
  'Access-Control-Anything',
  'X-Accel-Redirect',
  'X-Accel-Buffering',
  'Content-Security-Policy',
  'Content-Security-Policy-Report-Only',
  'Cache-Control',
  'X-Content-Type-Options',
  'Referrer-Policy',
  'X-Request-Id',
]) {
  test(`${name} of an answer is not passed back`, (t) => {
    const added = ['Content-Security-Policy', 'sandbox', 'Via', '1.1 hushbox'];
    for (const spelling of [name, name.toLowerCase()]) {
      t.deepEqual(
        headersToReturn(
          [
            [spelling, name === 'Transfer-Encoding' ? 'chunked' : 'x'],
            ['X-A', '1'],
            ['X-A', '2'],
          ],
          200,
        ),
        ['X-A', '1', 'X-A', '2', ...added],
      );
    }
  });
}

test('of an answer, what its Connection names stays here, its length does not; of 204 a length says nothing', (t) => {
  const added = ['Content-Security-Policy', 'sandbox', 'Via', '1.1 hushbox'];
  const headers = [
    ['Connection', 'x-hop, content-length'],
    ['X-Hop', '1'],
    ['Content-Length', '5'],
  ] as const;
  t.deepEqual(headersToReturn(headers, 200), ['Content-Length', '5', ...added]);
  t.deepEqual(headersToReturn(headers, 304), ['Content-Length', '5', ...added]);
  t.deepEqual(headersToReturn(headers, 204), added);
});

for (const [via, expected] of [
  [['1.1 hushbox'], true],
  [['1.1 HushBox'], true],
  [['HTTP/1.1 hushbox'], true],
  [['1.1 hushbox:8000'], true],
  [['1.1 hushbox (a comment)'], true],
  [['1.0 fred, 1.1 hushbox'], true],
  [['1.0 fred,1.1\thushbox,1.1 p.example'], true],
  [['1.0 fred', '1.1 hushbox'], true],
  [['1.0 fred (a, (nested, \\) comment)), 1.1 hushbox'], true],
  [['1.0 fred (never closed, 1.1 hushbox'], true],
  [['1.0 fred, hushbox'], true],
  [['1.0 fred'], false],
  [['1.0 hushbox.example'], false],
  [['1.0 my-hushbox'], false],
  [['1.0 fred (made by, 1.1 hushbox)'], false],
  [['hushbox 1.1'], false],
  [[''], false],
] as const) {
  test(`Via ${JSON.stringify(via)} ${expected ? 'is' : 'is no'} loop`, (t) => {
    t.is(isLoop(request('Accept', '*/*', ...via.flatMap((value) => ['vIA', value]))), expected);
  });
}

import test from 'ava';
import { headersToReturn, headersToSend, isLoop } from '../../src/proxy/headers.ts';

type Request = Parameters<typeof headersToSend>[0];

const request = (...rawHeaders: string[]): Request => ({ rawHeaders, httpVersion: '1.1' }) as Request;
const OWN = 'hushbox-1a2b3c4d';
const OURS = ['Via', `1.1 ${OWN}`, 'x-my-jwt', 'TOKEN'];
const ADDED = ['Content-Security-Policy', 'sandbox', 'Via', `1.1 ${OWN}`];

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
  'X.My.JWT',
  'x.my_jwt',
  'Expect',
  'Forwarded',
  'X-Forwarded-For',
  'X_Forwarded_For',
  'X-Forwarded-Proto',
  'X-Forwarded-Anything',
  'X-Real-IP',
  'X.Real.IP',
  'Proxy',
  'Proxy.Authorization',
  'Proxy_Connection',
  'Content_Length',
  'Content.Length',
  'Transfer_Encoding',
  'X_CSRFToken',
  'Keep_Alive',
]) {
  test(`${name} of a request is not passed on, however it is written`, (t) => {
    for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
      t.deepEqual(headersToSend(request(spelling, 'x', 'Accept', '*/*'), 'TOKEN', OWN), ['Accept', '*/*', ...OURS]);
    }
  });
}

test('everything else is passed on as it came: order, case, repeats, bytes above 127', (t) => {
  const headers = ['ACCEPT', '*/*', 'X-A', '1', 'x-a', '2', 'X-Bytes', 'caf\xe9', 'tokens', 'x', 'Via', '1.0 fred'];
  t.deepEqual(headersToSend(request(...headers), 'TOKEN', OWN), [...headers, ...OURS]);
});

test('what Connection names is not passed on, but for what the request needs', (t) => {
  const named = ['Connection', 'close, X-Secret ,x_other', 'connection', 'CONTENT-LENGTH, host, via, x-my-jwt'];
  const sent = headersToSend(
    request(...named, 'x-secret', 's', 'X-Other', 'o', 'Content-Length', '7', 'X-Third', 't'),
    'TOKEN',
    OWN,
  );
  t.deepEqual(sent, ['Content-Length', '7', 'X-Third', 't', ...OURS]);
});

const VALUES: Readonly<Record<string, string>> = {
  'Transfer-Encoding': 'chunked',
  'WWW-Authenticate': 'Basic realm="x"',
  WWW_Authenticate: 'Basic',
};

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
  'X-Sendfile',
  'Accept-CH',
  'Critical-CH',
  'Reporting-Endpoints',
  'Set-Login',
  'Sec-Session-Registration',
  'Secure-Session-Registration',
  'WWW-Authenticate',
  'WWW_Authenticate',
  'Set_Cookie',
  'Set.Cookie',
  'Access_Control_Allow_Origin',
  'X.Accel.Redirect',
  'Content_Length',
  'Content.Length',
  'Content-Security-Policy',
  'Content-Security-Policy-Report-Only',
  'Cache-Control',
  'X-Content-Type-Options',
  'Referrer-Policy',
  'X-Request-Id',
]) {
  test(`${name} of an answer is not passed back`, (t) => {
    for (const spelling of [name, name.toLowerCase()]) {
      t.deepEqual(
        headersToReturn(
          [
            [spelling, VALUES[name] ?? 'x'],
            ['X-A', '1'],
            ['X-A', '2'],
          ],
          200,
          OWN,
        ),
        ['X-A', '1', 'X-A', '2', ...ADDED],
      );
    }
  });
}

test('of an answer, what its Connection names stays here, its length does not; of 204 a length says nothing', (t) => {
  const headers = [
    ['Connection', 'x-hop, content-length'],
    ['X-Hop', '1'],
    ['Content-Length', '5'],
  ] as const;
  t.deepEqual(headersToReturn(headers, 200, OWN), ['Content-Length', '5', ...ADDED]);
  t.deepEqual(headersToReturn(headers, 304, OWN), ['Content-Length', '5', ...ADDED]);
  t.deepEqual(headersToReturn(headers, 204, OWN), ADDED);
});

for (const [via, expected] of [
  [['1.1 hushbox-1a2b3c4d'], true],
  [['1.1 HushBox-1A2B3C4D'], true],
  [['HTTP/1.1 hushbox-1a2b3c4d'], true],
  [['1.1 hushbox-1a2b3c4d:8000'], true],
  [['1.1 hushbox-1a2b3c4d (a comment)'], true],
  [['1.0 fred, 1.1 hushbox-1a2b3c4d'], true],
  [['1.0 fred,1.1\thushbox-1a2b3c4d,1.1 p.example'], true],
  [['1.0 fred', '1.1 hushbox-1a2b3c4d'], true],
  [['1.0 fred (a, (nested, \\) comment)), 1.1 hushbox-1a2b3c4d'], true],
  [['1.0 fred (never closed, 1.1 hushbox-1a2b3c4d'], true],
  [['1.0 fred, hushbox-1a2b3c4d'], true],
  [['1.0 fred'], false],
  [['1.1 hushbox'], false],
  [['1.1 hushbox-00000000'], false],
  [['1.0 hushbox-1a2b3c4d.example'], false],
  [['1.0 my-hushbox-1a2b3c4d'], false],
  [['1.0 fred (made by, 1.1 hushbox-1a2b3c4d)'], false],
  [['hushbox-1a2b3c4d 1.1'], false],
  [[''], false],
] as const) {
  test(`Via ${JSON.stringify(via)} ${expected ? 'is' : 'is no'} loop`, (t) => {
    t.is(isLoop(request('Accept', '*/*', ...via.flatMap((value) => ['vIA', value])), OWN), expected);
  });
}

for (const [value, isReturned] of [
  ['Basic realm="x"', false],
  ['basic', false],
  ['Bearer realm="x", BASIC realm="y"', false],
  ['Digest qop="auth",Basic', false],
  ['Bearer realm="Basic"', true],
  ['Basically x', true],
  ['Digest realm="x", nonce="y"', true],
] as const) {
  test(`a challenge ${value} is ${isReturned ? '' : 'not '}passed back`, (t) => {
    const expected = isReturned ? ['WWW-Authenticate', value, ...ADDED] : ADDED;
    t.deepEqual(headersToReturn([['WWW-Authenticate', value]], 401, OWN), expected);
  });
}

test('an alias of the length is dropped beside the length itself, both ways', (t) => {
  const headers = ['Content_Length', '100', 'Content-Length', '1'];
  t.deepEqual(headersToSend(request(...headers), 'TOKEN', OWN), ['Content-Length', '1', ...OURS]);
  const pairs = [
    ['Content.Length', '100'],
    ['Content-Length', '1'],
  ] as const;
  t.deepEqual(headersToReturn(pairs, 200, OWN), ['Content-Length', '1', ...ADDED]);
});

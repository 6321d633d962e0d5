import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { AppError } from '../../src/errors.ts';
import { type MayBeOurs, readCredentials } from '../../src/http/caller.ts';

type Lines = readonly string[];

/** Reads the credentials of a request as it comes over a connection. */
async function read(t: ExecutionContext, lines: Lines, mayBe?: MayBeOurs): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const server = createServer((request, response) => {
    try {
      resolve(readCredentials(request, mayBe));
    } catch (error) {
      resolve((error as AppError).code);
    }
    response.end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.teardown(() => server.close());
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.end(['GET / HTTP/1.1', 'Host: x', 'Connection: close', ...lines, '', ''].join('\r\n'));
  return promise;
}

const NONE = { cookie: undefined, proof: undefined } satisfies IncomingHttpHeaders & object;

const READ: readonly [title: string, lines: Lines, expected: unknown][] = [
  ['nothing', [], undefined],
  ['an empty token', ['token: '], undefined],
  ['cookies alone', ['Cookie: a=b'], undefined],
  ['token', ['Token: T'], { token: 'T', scheme: 'token', ...NONE }],
  ['bearer, whatever its case', ['authorization: bEARER  T'], { token: 'T', scheme: 'bearer', ...NONE }],
  ['a proof', ['authorization: DPoP T', 'DPoP: p'], { token: 'T', scheme: 'dpop', cookie: undefined, proof: 'p' }],
  ['a proof under another scheme', ['token: T', 'DPoP: p'], { token: 'T', scheme: 'token', ...NONE, proof: 'p' }],
  [
    'cookies beside a token, as they are',
    ['token: T', 'Cookie: a=b; c'],
    { token: 'T', scheme: 'token', cookie: 'a=b; c', proof: undefined },
  ],
  ['both, and the same', ['token: T', 'Authorization: Bearer T'], { token: 'T', scheme: 'bearer', ...NONE }],
  ['both, and the same, with a proof', ['Authorization: DPoP T', 'token: T'], { token: 'T', scheme: 'dpop', ...NONE }],
  ['both, and different', ['token: T', 'Authorization: Bearer U'], 'UNAUTHORIZED'],
  ['a token beside something else', ['token: T', 'Authorization: Basic dTpw'], 'UNAUTHORIZED'],
  ['two tokens', ['token: T', 'token: U'], 'UNAUTHORIZED'],
  ['two authorizations', ['Authorization: Bearer T', 'Authorization: Bearer U'], 'UNAUTHORIZED'],
  ['the same twice', ['Authorization: Bearer T', 'Authorization: Bearer T'], { token: 'T', scheme: 'bearer', ...NONE }],
  ['another scheme', ['Authorization: Basic dTpw'], undefined],
  ['a scheme without a token', ['Authorization: Bearer'], undefined],
  ['a token without a scheme', ['Authorization: T'], undefined],
];
for (const [title, lines, expected] of READ) {
  test(`credentials: ${title}`, async (t) => t.deepEqual(await read(t, lines), expected));
}

const OURS: readonly [title: string, lines: Lines, expected: unknown][] = [
  ['ours', ['token: our-T'], { token: 'our-T', scheme: 'token', ...NONE }],
  ['a foreign token', ['token: T'], undefined],
  [
    'ours beside a foreign authorization',
    ['token: our-T', 'Authorization: Bearer U'],
    { token: 'our-T', scheme: 'token', ...NONE },
  ],
  [
    'ours beside another scheme',
    ['token: our-T', 'Authorization: Basic dTpw'],
    { token: 'our-T', scheme: 'token', ...NONE },
  ],
  [
    'ours beside a foreign token',
    ['token: U', 'Authorization: Bearer our-T'],
    { token: 'our-T', scheme: 'bearer', ...NONE },
  ],
  ['two of ours', ['token: our-T', 'Authorization: Bearer our-U'], 'UNAUTHORIZED'],
];
for (const [title, lines, expected] of OURS) {
  test(`credentials where only our tokens count: ${title}`, async (t) => {
    const isToken = (text: string): boolean => text.startsWith('our-');
    const isIn = (text: string): boolean => text.split(' ').some(isToken);
    t.deepEqual(await read(t, lines, { isToken, isIn }), expected);
  });
}

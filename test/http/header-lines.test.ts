import test from 'ava';
import { converse } from '../support/http/raw.ts';
import { startServer } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

const BODY = '{"secret": "x"}';

// Older releases of Node drop the lines above the limit in silence: with them the length of the body (CVE-2026-58044).
test('a request with 1,001 header lines is refused, and one with 1,000 is read whole', async (t) => {
  const server = await startServer(t, { place: await SQLITE.place(t) });
  for (const [count, status] of [
    [1_000, 201],
    [1_001, 431],
    [1_200, 431],
  ] as const) {
    const client = await converse({ port: Number(new URL(server.base).port) });
    const others = Array.from({ length: count - 2 }, (_, index) => `a${index}: b\r\n`).join('');
    client.send(`POST /generate HTTP/1.1\r\nHost: localhost\r\n${others}Content-Length: ${BODY.length}\r\n\r\n${BODY}`);
    await client.untilAnswered(1);
    t.is(client.answers()[0]?.status, status, `${count} lines`);
    t.is(client.rest(), '');
    client.close();
  }
});

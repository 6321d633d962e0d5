import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { readBody } from '../../src/http/body.ts';

// Alone in its file: it measures the memory of its process.

test('a body in pieces of one byte takes little more than its bytes', async (t) => {
  const size = 300_000;
  const body = Buffer.from(`{"secret":"${'x'.repeat(size)}"}`);
  const request = Object.assign(
    Readable.from(
      (function* () {
        for (let at = 0; at < body.length; at++) yield Buffer.from([body[at] as number]);
      })(),
      { objectMode: false, highWaterMark: 1 },
    ),
    { headers: {}, complete: true },
  ) as unknown as IncomingMessage;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const measure = (): number => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = measure();
  let [counted, most] = [0, Number.NEGATIVE_INFINITY];
  request.on('data', () => {
    counted += 1;
    if (counted % 100_000 === 0) most = Math.max(most, measure() - before);
  });
  t.true((await readBody(request, 1_000_000)).equals(body));
  t.is(counted, body.length, 'as many pieces as bytes');
  t.true(most < 8 * size, `${most} bytes`);
});

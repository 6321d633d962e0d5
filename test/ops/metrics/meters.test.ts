import test from 'ava';
import { writeExposition } from '../../../src/ops/metrics/exposition.ts';
import { measureRequest } from '../../../src/ops/metrics/measure.ts';
import { createMeters } from '../../../src/ops/metrics/meters.ts';
import { createTotals } from '../../../src/ops/metrics/totals.ts';

const CREATED = 'hushbox_secrets_created_total';
const BATCH = 'hushbox_storage_batch_calls';

test('a report holds what was counted since the last one, a first one the zeros too', (t) => {
  const meters = createMeters();
  meters.count(CREATED);
  meters.count(CREATED, '', 2);
  meters.count('hushbox_storage_errors_total', 'find', 0);
  const first = meters.takeReport().counts;
  t.deepEqual(first[CREATED], { '': [3] });
  t.deepEqual(first.hushbox_secrets_read_total, { '': [0] });
  t.deepEqual(first.hushbox_storage_errors_total, { find: [0] });
  t.deepEqual(meters.takeReport(), { counts: {}, gauges: {} });
  meters.count(CREATED);
  t.deepEqual(meters.takeReport().counts, { [CREATED]: { '': [1] } });
});

test('what is observed falls into the first bucket whose bound it does not exceed', (t) => {
  const meters = createMeters();
  for (const value of [0, 1, 2, 3, 1024, 1025]) meters.observe(BATCH, '', value);
  t.deepEqual(meters.takeReport().counts[BATCH], { '': [2, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 2055] });
});

test('a watched gauge is told as it stands, a watched counter by what came since', (t) => {
  const meters = createMeters();
  let now = 5;
  meters.watch('hushbox_http_connections', '', () => now);
  meters.watch('hushbox_http_connections_closed_total', '', () => now);
  const told = (): unknown[] => {
    const { counts, gauges } = meters.takeReport();
    return [gauges.hushbox_http_connections, counts.hushbox_http_connections_closed_total];
  };
  t.deepEqual(told(), [{ '': [5] }, { '': [5] }]);
  now = 7;
  t.deepEqual(told(), [{ '': [7] }, { '': [2] }]);
  t.deepEqual(told(), [{ '': [7] }, undefined]);
});

test('a value that cannot be read is left out of the report and reported once, and the others are there', (t) => {
  const failed: string[] = [];
  const meters = createMeters((name, error) => failed.push(`${name}: ${(error as Error).message}`));
  let isBroken = true;
  const read = (): number => {
    if (isBroken) throw new Error('EMFILE');
    return 3;
  };
  meters.watch('hushbox_worker_resident_memory_bytes', '1', read);
  meters.watch('hushbox_http_connections_closed_total', '', read);
  meters.watch('hushbox_http_connections', '', () => 5);
  for (let n = 0; n < 3; n++) {
    t.deepEqual(meters.takeReport().gauges, { hushbox_http_connections: { '': [5] } });
  }
  t.deepEqual(failed, [
    'hushbox_worker_resident_memory_bytes: EMFILE',
    'hushbox_http_connections_closed_total: EMFILE',
  ]);
  isBroken = false;
  const { counts, gauges } = meters.takeReport();
  t.deepEqual(gauges.hushbox_worker_resident_memory_bytes, { '1': [3] });
  t.deepEqual(counts.hushbox_http_connections_closed_total, { '': [3] });
});

test('labels of requests come from closed sets, whatever a client sends and a destination answers', (t) => {
  const meters = createMeters();
  const served = { route: '/proxy', code: undefined, durationMs: 1, requestId: '' } as const;
  for (const [method, status] of [
    ['POST', 200],
    ['POST', 999],
    ['POST', 418],
    ['BREW', 299],
  ] as const) {
    measureRequest(meters, { ...served, method, status });
  }
  const { hushbox_http_requests_total: requests = {} } = meters.takeReport().counts;
  t.deepEqual(Object.keys(requests), ['POST /proxy 200', 'POST /proxy other', 'POST /proxy 418', 'other /proxy other']);
});

test('totals add up what was counted, and the gauges of those that are there', (t) => {
  const totals = createTotals();
  totals.add({ [CREATED]: { '': [2] }, [BATCH]: { '': [1, 0, 4] } });
  totals.add({ [CREATED]: { '': [3] }, [BATCH]: { '': [1, 1, 2] }, hushbox_http_errors_total: { '/x BUSY': [1] } });
  const gauge = (value: number) => ({ hushbox_http_connections: { '': [value] } });
  const counted = { [CREATED]: { '': [5] }, [BATCH]: { '': [2, 1, 6] }, hushbox_http_errors_total: { '/x BUSY': [1] } };
  t.deepEqual(totals.read([gauge(1), gauge(2)]), { ...counted, hushbox_http_connections: { '': [3] } });
  t.deepEqual(totals.read([gauge(4)]), { ...counted, hushbox_http_connections: { '': [4] } });
});

test('the text has cumulative buckets, labels by name, and zeros for what was never told', (t) => {
  const text = writeExposition({
    hushbox_http_requests_total: { 'GET /secrets/:key 200': [3], 'GET / 200': [1] },
    [BATCH]: { '': [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2055.5] },
  });
  const linesOf = (name: string): string[] => text.split('\n').filter((line) => line.startsWith(name));
  t.deepEqual(linesOf('hushbox_kafka_members'), [], 'without Kafka nobody is missing in its group');
  t.deepEqual(linesOf('hushbox_kafka_lag'), ['hushbox_kafka_lag 0']);
  t.deepEqual(linesOf('hushbox_http_requests_total'), [
    'hushbox_http_requests_total{method="GET",route="/",status="200"} 1',
    'hushbox_http_requests_total{method="GET",route="/secrets/:key",status="200"} 3',
  ]);
  t.deepEqual(linesOf('hushbox_storage_batch_calls').slice(0, 3), [
    'hushbox_storage_batch_calls_bucket{le="1"} 2',
    'hushbox_storage_batch_calls_bucket{le="2"} 3',
    'hushbox_storage_batch_calls_bucket{le="4"} 3',
  ]);
  t.deepEqual(linesOf('hushbox_storage_batch_calls').slice(-3), [
    'hushbox_storage_batch_calls_bucket{le="+Inf"} 4',
    'hushbox_storage_batch_calls_sum 2055.5',
    'hushbox_storage_batch_calls_count 4',
  ]);
  t.true(text.includes(`\n# TYPE ${CREATED} counter\n${CREATED} 0\n`));
});

import test from 'ava';
import { KAFKA_URL_FORM, KAFKA_URL_PLAIN, parseKafkaUrl } from '../../src/network/kafka-url.ts';

test('one broker or several, with names and addresses', (t) => {
  t.deepEqual(parseKafkaUrl('kafka://localhost:9092'), {
    brokers: [{ host: 'localhost', port: 9092 }],
    tls: undefined,
    sasl: undefined,
  });
  t.like(parseKafkaUrl('kafka://a.example:1,127.0.0.1:2,[::1]:65535/'), {
    brokers: [
      { host: 'a.example', port: 1 },
      { host: '127.0.0.1', port: 2 },
      { host: '::1', port: 65_535 },
    ],
  });
});

test('kafkas:// means TLS, with a name for SNI where all are names', (t) => {
  t.like(parseKafkaUrl('kafkas://a.example:9094'), { tls: { servername: true }, sasl: undefined });
  t.like(parseKafkaUrl('kafkas://a.example:9094,10.0.0.1:9094'), { tls: { servername: false } });
  t.like(parseKafkaUrl('kafkas://[::1]:9094'), { tls: { servername: false } });
});

test('user and password: SCRAM-SHA-512, or the mechanism that is named; percent-encoding is undone', (t) => {
  const sasl = { username: 'hush', password: 'a:b@c/d%' };
  t.like(parseKafkaUrl('kafkas://hush:a%3Ab%40c%2Fd%25@a:1'), { sasl: { mechanism: 'SCRAM-SHA-512', ...sasl } });
  t.like(parseKafkaUrl('kafkas://hush:a:b%40c%2Fd%25@a:1'), { sasl });
  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
    t.like(parseKafkaUrl(`kafkas://u:p@a:1?sasl=${mechanism}`), { sasl: { mechanism, username: 'u', password: 'p' } });
  }
});

test('a password needs TLS', (t) => {
  t.is(parseKafkaUrl('kafka://user:password@a:9092'), KAFKA_URL_PLAIN);
});

const WRONG = [
  ...['', 'a:1', 'kafka:', 'kafka://', 'kafka://a', 'kafka://a:', 'kafka://a:0', 'kafka://a:65536', 'kafka://a:1,'],
  ...[
    'kafka://a:1,,b:1',
    'kafka://a:1 ,b:1',
    'kafka://a:1/topic',
    'http://a:1',
    'KAFKA://a:1',
    'kafka://:1',
    'kafka://a b:1',
  ],
  ...['kafkas://user@a:1', 'kafkas://:password@a:1', 'kafkas://user:@a:1', 'kafkas://u:p@', 'kafkas://u:p@@a:1'],
  ...[
    'kafkas://u:%zz@a:1',
    'kafkas://u:%ff@a:1',
    'kafkas://u:p@a:1?sasl=GSSAPI',
    'kafkas://u:p@a:1?sasl=',
    'kafkas://a:1?sasl=PLAIN',
  ],
  ...['kafkas://u:p@a:1?tls=off', 'kafka://999.1.1.1:1', 'kafka://[::g]:1', `kafka://${Array(101).fill('a:1').join()}`],
];
for (const url of WRONG) {
  test(`is refused: ${url.slice(0, 60) || 'nothing'}`, (t) => {
    t.is(parseKafkaUrl(url), KAFKA_URL_FORM);
  });
}

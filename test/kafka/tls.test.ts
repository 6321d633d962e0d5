import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Admin, alterUserScramCredentialsV0 } from '@platformatic/kafka';
import type { ExecutionContext } from 'ava';
import { startBroker, withKafka } from '../support/kafka/broker.ts';
import { createBusClient } from '../support/kafka/client.ts';
import { makeCertificate } from '../support/nginx/certificate.ts';
import { findFreePort } from '../support/process/free-port.ts';
import { remember } from '../support/process/leaks.ts';
import { start, until } from '../support/process/program.ts';
import { SQLITE, temporaryFolder } from '../support/storage/storage.ts';

const USER = 'hush';
const PASSWORD = 'a:password/of@kafka';
/** The line with the reason. */
const AWAY = /^.*Kafka is away.*\n/m;

/** A broker with TLS and SASL on a second port. */
async function startSecureBroker(t: ExecutionContext<unknown>) {
  const folder = await temporaryFolder(t as ExecutionContext);
  await makeCertificate(folder);
  const ca = join(folder, 'fullchain.pem');
  const keystore = join(folder, 'keystore.pem');
  await writeFile(keystore, (await readFile(join(folder, 'privkey.pem'), 'utf8')) + (await readFile(ca, 'utf8')));
  const port = await findFreePort(3);
  const [secure, control] = [port + 1, port + 2];
  const login = 'org.apache.kafka.common.security';
  const { address } = await startBroker(t, {
    port,
    extra: [
      `controller.quorum.voters=1@127.0.0.1:${control}`,
      `listeners=PLAINTEXT://127.0.0.1:${port},SASL_SSL://localhost:${secure},CONTROLLER://127.0.0.1:${control}`,
      `advertised.listeners=PLAINTEXT://127.0.0.1:${port},SASL_SSL://localhost:${secure}`,
      'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT',
      ...['ssl.keystore.type=PEM', `ssl.keystore.location=${keystore}`],
      'sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN',
      `listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=${login}.scram.ScramLoginModule required;`,
      `listener.name.sasl_ssl.plain.sasl.jaas.config=${login}.plain.PlainLoginModule required user_${USER}="${PASSWORD}";`,
    ],
  });
  await addScramUser(address);
  return { address, ca, host: `localhost:${secure}`, port: secure };
}

async function addScramUser(address: string): Promise<void> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [address] });
  const connection = [...(await admin.connectToBrokers()).values()][0];
  const [salt, iterations] = [randomBytes(16), 4096];
  const saltedPassword = pbkdf2Sync(PASSWORD, salt, iterations, 64, 'sha512');
  const upsertion = { name: USER, mechanism: 2, iterations, salt, saltedPassword };
  const alter = promisify(alterUserScramCredentialsV0.api as (...args: unknown[]) => void);
  await (alter as (...args: unknown[]) => Promise<void>)(connection, [], [upsertion]);
  await admin.close();
}

withKafka('over TLS and SASL, with both mechanisms; a certificate or password that is wrong is refused', async (t) => {
  remember(PASSWORD);
  const secure = await startSecureBroker(t);
  const client = await createBusClient(t, secure.address);
  const place = await SQLITE.place(t);
  const begin = (url: string, more: Record<string, string> = {}) => {
    const env = {
      SERVICES: 'kafka',
      STORAGE_URL: place.url,
      MASTER_KEY: '11'.repeat(32),
      WORKERS: '1',
      KAFKA_URL: url,
    };
    return start(t, { env: { ...env, NODE_EXTRA_CA_CERTS: secure.ca, ...more } });
  };
  const login = `${USER}:${encodeURIComponent(PASSWORD)}`;
  for (const end of ['', '?sasl=PLAIN']) {
    const program = await begin(`kafkas://${login}@${secure.host}${end}`);
    t.false((await client.ask('x')).authenticated);
    program.signal('SIGTERM');
    await program.exit;
    t.notRegex(program.stderr(), /warning/i);
  }
  for (const [url, more, reason] of [
    [`kafkas://${USER}:wrong@${secure.host}`, {}, /SASL|authenticat/i],
    [`kafkas://${USER}:wrong@${secure.host}?sasl=PLAIN`, {}, /SASL|authenticat/i],
    [`kafkas://${login}@${secure.host}`, { NODE_EXTRA_CA_CERTS: '' }, /self-signed certificate/],
    [`kafkas://${login}@127.0.0.1:${secure.port}`, {}, /Hostname\/IP does not match|ECONNREFUSED/],
    [`kafka://${secure.host}`, {}, /TLS|closed|timed out/i],
    [`kafkas://${secure.host}`, {}, /closed|SASL|authenticat|timed out/i],
  ] as const) {
    let found = '';
    let starts = 0;
    do {
      const program = await begin(url, more);
      await until('the line', () => AWAY.test(program.stderr()));
      found = JSON.parse(AWAY.exec(program.stderr())?.[0] ?? '').reason;
      t.log(found);
      await program.end();
    } while (!reason.test(found) && /timed out/i.test(found) && ++starts < 5); // a busy machine was too late, and it is said once
    t.regex(found, reason, url);
  }
});

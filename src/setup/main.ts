import '../quiet.ts'; // before everything else
import '../../scripts/preload.cjs';
import { readFileSync } from 'node:fs';
import { createLog } from '../ops/log.ts';
import { makeKeys } from './keys.ts';
import { prepareMongo } from './mongo.ts';

// Prepares what the service needs to run in containers (see docker-compose.yml): does what is missing, and ends.
const HOST = 'mongo:27017';
const DEADLINE_MS = 120_000;
const log = createLog('info');

/** As a variable or as a file; an empty one counts as absent. */
function given(name: string, path: string): string | undefined {
  const value = process.env[`GIVEN_${name}`]?.trim();
  const content = readFileSync(path, 'utf8').trim();
  if (value && content) throw new Error(`${name} and ${name}_FILE must not both be set`);
  return value || content || undefined;
}

try {
  const access = makeKeys({ service: '/keys', mongo: '/mongo-keys' }, HOST, {
    masterKeys: given('MASTER_KEY', '/given/master-key'),
    password: given('MONGO_PASSWORD', '/given/mongo-password'),
    rootPassword: given('MONGO_ROOT_PASSWORD', '/given/mongo-root-password'),
    jwtKey: given('JWT_HEX_SECRET', '/given/jwt-hex-secret'),
    proxyToken: given('PROXY_TOKEN', '/given/proxy-token'),
    isProxyOpen: process.env.GIVEN_PROXY_OPEN?.trim() === 'true',
  });
  log.info('the keys are in place');
  const signal = AbortSignal.timeout(DEADLINE_MS);
  await prepareMongo({ host: HOST, access, signal, say: (message) => log.info(message) });
  log.info('MongoDB is ready for the service');
} catch (err) {
  log.fatal({ err }, 'the setup failed');
  process.exitCode = 1;
}

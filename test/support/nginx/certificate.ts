import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Makes a self-signed certificate for localhost and its key, under the names in nginx/tls.conf. */
export async function makeCertificate(folder: string): Promise<void> {
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    join(folder, 'privkey.pem'),
  ];
  const certificate = ['-x509', '-days', '2', '-subj', '/CN=localhost', '-out', join(folder, 'fullchain.pem')];
  await promisify(execFile)('openssl', ['req', ...key, ...certificate]);
}

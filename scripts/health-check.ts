import { request } from 'node:http';
import { join } from 'node:path';
import { isUnspecified } from '../src/network/addresses.ts';

// For a container's engine: ends with 0 if every worker is ready, or the one that took the connection where they share
// a port.
const TIMEOUT_MS = 4_000;
const { SOCKET_DIR, HTTP_PORT, HOST, WORKERS } = process.env; // an empty one counts as absent

const sockets = Array.from({ length: Number(WORKERS || 1) }, (_, index) => `worker-${index + 1}.sock`);
const targets = SOCKET_DIR
  ? sockets.map((name) => ({ socketPath: join(SOCKET_DIR, name) }))
  : [{ host: isUnspecified(HOST || '0.0.0.0') ? '127.0.0.1' : HOST, port: HTTP_PORT || 8000 }];

function isReady(target: object): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ ...target, path: '/health/ready', timeout: TIMEOUT_MS }, ({ statusCode }) =>
      resolve(statusCode === 200),
    );
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(false));
    asked.end();
  });
}

const answers = await Promise.all(targets.map(isReady));
process.exit(answers.every(Boolean) ? 0 : 1);

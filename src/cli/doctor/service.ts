import { request } from 'node:http';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { type Finding, note, ok, problem, warning } from './findings.ts';

const PATIENCE_MS = 5_000;
const MAX_ANSWER_BYTES = 1_048_576;

type Target = { name: string; socketPath: string } | { name: string; host: string; port: number };
type Answer = { status: number; text: string } | { code: string };

/** From so many requests on, clients that are all at one private address are worth a warning. */
const MANY_REQUESTS = 1_000;

/** Whether the service runs and is ready, and whether it can tell its clients apart. */
export async function inspectService(config: Partial<Config>): Promise<Finding[]> {
  const [ready, clients] = await Promise.all([inspectReadiness(config), inspectClients(config)]);
  return [...ready, ...clients];
}

/** Behind a proxy that is not trusted, all clients share the limits of one: an attacker's tries lock everybody out. */
async function inspectClients(config: Partial<Config>): Promise<Finding[]> {
  const target = internalTargetOf(config);
  const answer = target && (await ask(target, '/metrics', config.INTERNAL_TOKEN));
  if (!answer || 'code' in answer || answer.status !== 200) return []; // the finding on readiness says more
  const sum = (name: string): number =>
    [...answer.text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce(
      (total, [, value]) => total + Number(value),
      0,
    );
  const seen = sum('hushbox_client_networks');
  const isOnePrivate = seen > 0 && seen <= sum('hushbox_workers_ready') && !/kind="public"\} [1-9]/.test(answer.text);
  if (!isOnePrivate || sum('hushbox_http_requests_total') < MANY_REQUESTS) return [];
  return [
    warning(
      'All clients seem to have one private address, so they share the limits of one client.',
      'If a proxy is in front, name its address in TRUSTED_PROXIES.',
    ),
  ];
}

function internalTargetOf({ INTERNAL_PORT: port, INTERNAL_HOST: host, DATA_DIR }: Partial<Config>): Target | undefined {
  if (port !== undefined && host !== undefined) return targetAt(host, port);
  if (DATA_DIR === undefined) return undefined;
  const socketPath = join(DATA_DIR, 'internal.sock');
  return { name: socketPath, socketPath };
}

async function inspectReadiness(config: Partial<Config>): Promise<Finding[]> {
  const target = targetOf(config);
  if (!target) return [note('Not checked: the configuration does not say where the service listens.')];
  const answer = await ask(target, '/health/ready');
  if ('code' in answer) return [judgeSilence(target, answer.code)];
  if (answer.status === 200 && answer.text.includes('"ready"')) return [ok(`The service on ${target.name} is ready.`)];
  const code = /"code":"(?<code>[A-Z_]+)"/.exec(answer.text)?.groups?.code;
  if (code === undefined) {
    return [
      warning(
        `Something on ${target.name} answers ${answer.status}, but is not Hushbox.`,
        'See which program listens there.',
      ),
    ];
  }
  return [problem(`The service on ${target.name} is not ready (${code}).`, 'Its log says why.')];
}

function judgeSilence({ name }: Target, code: string): Finding {
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return note(`No service runs on ${name}.`);
  return problem(
    `The program that listens on ${name} does not answer (${code}).`,
    'See its log, and whether its processes still run.',
  );
}

function targetOf({ SOCKET_DIR, HOST, HTTP_PORT }: Partial<Config>): Target | undefined {
  if (SOCKET_DIR) {
    const socketPath = join(SOCKET_DIR, 'worker-1.sock');
    return { name: socketPath, socketPath };
  }
  if (HOST === undefined || !HTTP_PORT) return undefined;
  return targetAt(HOST, HTTP_PORT);
}

/** Who listens on all addresses is asked at the loopback one. */
function targetAt(listenHost: string, port: number): Target {
  const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[listenHost] ?? listenHost;
  return { name: `${host.includes(':') ? `[${host}]` : host}:${port}`, host, port };
}

function ask({ name: _, ...target }: Target, path: string, token?: string): Promise<Answer> {
  return new Promise((resolve) => {
    const fail = ({ code = 'unknown' }: NodeJS.ErrnoException): void => resolve({ code });
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const asked = request({ ...target, path, headers, agent: false, signal }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER_BYTES) response.destroy();
      });
      response.on('error', fail);
      response.on('close', () => resolve({ status: response.statusCode as number, text }));
    });
    asked.on('error', fail).end();
  });
}

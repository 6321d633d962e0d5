import { request } from 'node:http';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { type Finding, note, ok, problem, warning } from './findings.ts';

const PATIENCE_MS = 5_000;
const MAX_ANSWER_BYTES = 65_536;

type Target = { name: string; socketPath: string } | { name: string; host: string; port: number };
type Answer = { status: number; text: string } | { code: string };

/** Whether the service runs and is ready. */
export async function inspectService(config: Partial<Config>): Promise<Finding[]> {
  const target = targetOf(config);
  if (!target) return [note('Not checked: the configuration does not say where the service listens.')];
  const answer = await ask(target);
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
  const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[HOST] ?? HOST;
  return { name: `${host.includes(':') ? `[${host}]` : host}:${HTTP_PORT}`, host, port: HTTP_PORT };
}

function ask({ name: _, ...target }: Target): Promise<Answer> {
  return new Promise((resolve) => {
    const fail = ({ code = 'unknown' }: NodeJS.ErrnoException): void => resolve({ code });
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const asked = request({ ...target, path: '/health/ready', agent: false, signal }, (response) => {
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

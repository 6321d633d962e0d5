import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { TestFn } from 'ava';
import { findFreePort } from '../process/free-port.ts';
import { testIf } from '../process/needs.ts';

const run = promisify(execFile);
const MAX_OUTPUT_BYTES = 1024 ** 3;
const PATIENCE_MS = 300_000;

/** The command for `docker compose` on this machine; without it, tests of containers are visible skips. */
const { CONTAINERS } = process.env;
export const withContainers = testIf(!!CONTAINERS, 'CONTAINERS').serial as TestFn;
export const hasContainers = CONTAINERS !== undefined;

export type Containers = {
  base: string;
  /** `make TARGET` on this setup. @returns its output. */
  make(target: string, env?: Record<string, string>): Promise<string>;
  /** Any command of docker-compose. @returns its output. @throws when it fails. */
  compose(...words: string[]): Promise<string>;
  /** Runs a script of sh in a service's container. */
  inside(service: string, script: string): Promise<string>;
  /** As root, even if the service runs as another user. */
  asRoot(service: string, script: string): Promise<string>;
};

/** A setup with its own name, port and image. Nothing is started yet. */
export async function createContainers(settings: Record<string, string> = {}): Promise<Containers> {
  const port = await findFreePort();
  const env = {
    ...process.env,
    COMPOSE: CONTAINERS,
    COMPOSE_PROJECT_NAME: 'hushbox-test',
    IMAGE: 'hushbox-test',
    HTTP_PORT: `127.0.0.1:${port}`,
    ...settings,
  };
  const call = async (
    command: string,
    words: readonly string[],
    more: Record<string, string> = {},
  ): Promise<string> => {
    const options = { env: { ...env, ...more }, maxBuffer: MAX_OUTPUT_BYTES, timeout: PATIENCE_MS };
    const { stdout } = await run('sh', ['-c', `${command} "$@"`, 'sh', ...words], options);
    return stdout;
  };
  const compose = (...words: string[]): Promise<string> => call(CONTAINERS ?? '', words);
  return {
    base: `http://127.0.0.1:${port}`,
    make: (target, more) => call('make --no-print-directory', [target], more),
    compose,
    inside: (service, script) => compose('exec', '-T', service, 'sh', '-c', script),
    asRoot: (service, script) => compose('exec', '-T', '--user', 'root', service, 'sh', '-c', script),
  };
}

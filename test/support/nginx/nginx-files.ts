import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort } from '../process/free-port.ts';

export const CONFIGURATION = new URL('../../../nginx/', import.meta.url).pathname;

export type ConfigurationOptions = {
  /** Where the workers' sockets are. */
  sockets: string;
  workers?: number;
  /** The server that nginx.conf includes. */
  server?: 'plain.conf' | 'tls.conf';
  /** A folder whose files are mounted in place of those of nginx/. */
  overlay?: string;
  /** Where requests are logged; default: as shipped. */
  log?: string;
  /** Changes a file before it is used. */
  edit?: (name: string, text: string) => string;
};

/** The files of nginx/, with the paths and the port of a test in place of a container's. */
export async function configure(folder: string, options: ConfigurationOptions): Promise<number> {
  const {
    sockets,
    workers = 2,
    server = 'plain.conf',
    overlay = CONFIGURATION,
    log,
    edit = (_name, text) => text,
  } = options;
  const port = await findFreePort(2); // one for plain HTTP, the next for TLS
  mkdirSync(join(folder, 'nginx'), { recursive: true });
  for (const name of readdirSync(CONFIGURATION).filter((name) => name.endsWith('.conf'))) {
    const folderOfFile = existsSync(join(overlay, name)) ? overlay : CONFIGURATION;
    const text = readFileSync(join(folderOfFile, name), 'utf8')
      .replaceAll(/ *server unix:.*worker-(\d+)\.sock.*\n/g, (line, number) => (Number(number) <= workers ? line : ''))
      .replaceAll('/tmp/', `${folder}/`)
      .replaceAll('/run/hushbox', sockets)
      .replaceAll('/run/tls', folder)
      .replaceAll('listen 8080', `listen 127.0.0.1:${port}`)
      .replaceAll('listen 8443', `listen 127.0.0.1:${port + 1}`)
      .replaceAll('include plain.conf', `include ${server}`)
      .replaceAll('access_log /dev/stdout requests', (all) => (log ? `access_log ${log}; #` : all));
    writeFileSync(join(folder, 'nginx', name), edit(name, text));
  }
  return port;
}

export function isInstalled(command: string, argument: string): boolean {
  try {
    execFileSync(command, [argument], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

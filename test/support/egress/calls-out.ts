import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect as netConnect, type Server, Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { ExecutionContext } from 'ava';
import type { Rules } from '../../../src/egress/destination.ts';
import type { Connect } from '../../../src/egress/dial.ts';
import { createEgress, type Egress, type EgressParts } from '../../../src/egress/egress.ts';
import type { EgressRequest } from '../../../src/egress/request.ts';
import { parseAllowList } from '../../../src/network/allow-list.ts';

export const PROXY: Rules = { purpose: 'proxy', anyPlainHttp: true, member: 'Destination' };
export const WEBHOOKS: Rules = { purpose: 'webhooks', anyPlainHttp: false, member: 'notify' };
/** Far beyond what a busy machine takes. */
export const PATIENT = { connectMs: 60_000, headersMs: 60_000, bodyMs: 60_000, totalMs: 90_000 };

export type CallsOut = {
  egress: Egress;
  /** Addresses dialled, in order; only those on loopback are connected to. */
  dialled: string[];
  /** Every attempt as it was counted. */
  counted: string[];
  /** One POST, with the answer read. @returns its status and body, or the code of what it failed with. */
  post(url: string, more?: Partial<EgressRequest>): Promise<{ status: number; text: string } | string>;
};

export type Options = Partial<Omit<EgressParts, 'allowed'>> & { allow?: string };

export function startEgress(t: ExecutionContext, { allow, ...parts }: Options = {}): CallsOut {
  const dialled: string[] = [];
  const counted: string[] = [];
  const egress = createEgress({
    allowed: allow ? (parseAllowList(allow) ?? t.fail(allow) ?? []) : [],
    servers: ['127.0.0.1:1'], // nothing listens there, unless a test has a server
    hostsPath: '/nowhere',
    waitMs: PATIENT.connectMs,
    onAttempt: (purpose, outcome) => counted.push(`${purpose} ${outcome}`),
    connect: ((options: { host: string; lookup: (...all: unknown[]) => void }) => {
      const addresses = addressesOf(options);
      dialled.push(...addresses);
      return addresses.every(isLoopback) ? netConnect(options as never) : refuse();
    }) as unknown as Connect,
    ...parts,
  });
  t.teardown(egress.close);
  return {
    egress,
    dialled,
    counted,
    async post(url, more) {
      try {
        const answer = await egress.send(requestTo(url, more));
        return { status: answer.status, text: await textOf(answer.body) };
      } catch (error) {
        return (error as { code?: string }).code ?? String(error);
      }
    },
  };
}

export function requestTo(url: string, more: Partial<EgressRequest> = {}): EgressRequest {
  return { url, rules: PROXY, method: 'POST', headers: [], body: Buffer.from('{}'), limits: PATIENT, ...more };
}

export async function textOf(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

export type Upstream = { port: number; server: Server /** Connections so far. */; readonly connections: number };

/** Listens on every address of this machine, IPv4 and IPv6, and counts connections. */
export async function listenOn(t: ExecutionContext, server: Server): Promise<Upstream> {
  let connections = 0;
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.listen(0, '::');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    server,
    get connections() {
      return connections;
    },
  };
}

export function startWeb(t: ExecutionContext, listener: RequestListener): Promise<Upstream> {
  return listenOn(t, createServer({ keepAliveTimeout: 60_000 }, listener));
}

function addressesOf({ host, lookup }: { host: string; lookup: (...all: unknown[]) => void }): string[] {
  let found = [host];
  if (!/^[\d.]+$|:/.test(host)) {
    lookup(host, {}, (_error: unknown, all: { address: string }[]) => {
      found = all.map(({ address }) => address);
    });
  }
  return found;
}

/** What a test may connect to. */
export function isLoopback(address: string): boolean {
  return /^127\.|^::1$/.test(address);
}

/** In place of an address that is not ours to try. */
function refuse(): Socket {
  const socket = new Socket();
  setImmediate(() => socket.destroy(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })));
  return socket;
}

/** What a process with these variables besides ours gets from each URL: a line with the answer, or a code. */
export async function callFromChild(env: Readonly<Record<string, string>>, urls: readonly string[]): Promise<string[]> {
  const child = spawn(process.execPath, ['--no-warnings', 'test/egress/calling-child.ts', ...urls], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (text) => {
    said += text;
  });
  await once(child, 'close');
  return said.trim().split('\n');
}

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { Context } from 'koa';
import type { Route } from '../http/routing.ts';
import { PACKAGE_FILES } from './package-files.ts';
import { type Packed, pack, sendPacked } from './packed.ts';

/** A picture that an operator has chosen. */
export type Picture = { type: string; content: Buffer };

const FOLDER = new URL('page/', import.meta.url);
/** The client library: pages load the same source that programs import. */
const CLIENT_FOLDER = new URL('../../client/', import.meta.url);
/** As page/client.html announces them. */
const CLIENT_MODULES = ['hushbox.ts', 'sealing.ts', 'wire.ts'];
const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8',
};
const SCRIPT = TYPES.js as string;
/** No page of ours: it can load nothing, run nothing, and belongs to no origin if somebody opens its address. */
const FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/** The files that pages load, read once. Not in the OpenAPI document: only our own pages ask for them. */
export function assetRoutes(logo: Picture | undefined): Route[] {
  return [
    ...readdirSync(FOLDER).flatMap((name) => {
      const type = typeOf(name);
      return type && !name.endsWith('.d.ts') ? [assetRoute(name, type, readFileSync(new URL(name, FOLDER)))] : [];
    }),
    ...Object.entries(PACKAGE_FILES).map(([name, read]) => assetRoute(name, typeOf(name) as string, read())),
    ...clientRoutes(),
    ...(logo ? [assetRoute('logo', logo.type, logo.content)] : []),
  ];
}

function typeOf(name: string): string | undefined {
  return TYPES[name.replace(/^.*\./, '')];
}

/** The modules of the client library, prepared when the first page asks for one of them. */
function clientRoutes(): Route[] {
  let modules: Promise<Packed[]> | undefined;
  const prepare = (): Promise<Packed[]> => {
    modules ??= readScripts().catch((error) => {
      modules = undefined;
      throw error;
    });
    return modules;
  };
  return CLIENT_MODULES.map((name, index) => ({
    method: 'GET',
    path: `/assets/client/${name}`,
    run: async (ctx) => sendAsset(ctx, SCRIPT, (await prepare())[index] as Packed),
  }));
}

/** What strips types keeps 27 MiB of memory: so a thread does that, and ends. */
const STRIP = `
  const { stripTypeScriptTypes } = require('node:module');
  const { parentPort, workerData } = require('node:worker_threads');
  parentPort.postMessage(workerData.map((text) => stripTypeScriptTypes(text)));
`;

/** Types stripped, as Node does it for the service itself. */
async function readScripts(): Promise<Packed[]> {
  const workerData = CLIENT_MODULES.map((name) => readFileSync(new URL(name, CLIENT_FOLDER), 'utf8'));
  // A warning would say that the function is experimental, which is nothing for an operator's log.
  const thread = new Worker(STRIP, { eval: true, workerData, execArgv: ['--no-warnings'] });
  const [texts] = (await once(thread, 'message')) as [string[]];
  return texts.map((text) => pack(Buffer.from(text)));
}

function assetRoute(name: string, type: string, content: Buffer): Route {
  const asset = pack(content);
  return { method: 'GET', path: `/assets/${name}`, run: (ctx) => sendAsset(ctx, type, asset) };
}

function sendAsset(ctx: Context, type: string, asset: Packed): void {
  ctx.set('content-security-policy', FILE_POLICY);
  ctx.set('content-type', type);
  sendPacked(ctx, asset);
}

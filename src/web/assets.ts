import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
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
    ...CLIENT_MODULES.map((name) => assetRoute(`client/${name}`, SCRIPT, readScript(new URL(name, CLIENT_FOLDER)))),
    ...(logo ? [assetRoute('logo', logo.type, logo.content)] : []),
  ];
}

function typeOf(name: string): string | undefined {
  return TYPES[name.replace(/^.*\./, '')];
}

/** Types stripped, as Node does it for the service itself. */
function readScript(path: URL): Buffer {
  const { emitWarning } = process;
  process.emitWarning = () => {}; // that the function is experimental, which is nothing for an operator's log
  try {
    return Buffer.from(stripTypeScriptTypes(readFileSync(path, 'utf8')));
  } finally {
    process.emitWarning = emitWarning;
  }
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

import { gzipSync } from 'node:zlib';
import type { Context } from 'koa';
import { varyOn } from '../http/respond.ts';

/** What is sent as it is, or compressed for clients that accept that. */
export type Packed = { content: Buffer; packed: Buffer };

export function pack(content: Buffer): Packed {
  return { content, packed: gzipSync(content, { level: 9 }) };
}

export function sendPacked(ctx: Context, { content, packed }: Packed): void {
  varyOn(ctx, 'accept-encoding');
  const isPacked = packed.length < content.length && ctx.acceptsEncodings('gzip', 'identity') === 'gzip';
  if (isPacked) ctx.set('content-encoding', 'gzip');
  ctx.body = isPacked ? packed : content;
}

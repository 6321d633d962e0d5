import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { Middleware } from 'koa';
import { AppError } from '../errors.ts';
import { dropBody } from '../http/body.ts';
import { createRouter } from '../http/routing.ts';
import { forward, type Send, type Timing } from './forward.ts';
import { ADDED_TO_ANSWERS, isLoop, valuesOf } from './headers.ts';

export type ProxyRouteParts = {
  /** Runs first: who may have requests signed. */
  guard: Middleware;
  /** Makes the token of one request. */
  sign(): string;
  send: Send;
  /** Where requests go that name no destination: what it answers, or throws, comes back. */
  receive(token: string): Promise<object>;
  timing?: Timing;
};

/** Signs requests and sends them on. */
export function proxyRoutes({ guard, sign, send, receive, timing }: ProxyRouteParts): Router {
  const router = createRouter();
  router.post('/proxy', guard, async (ctx) => {
    if (isLoop(ctx.req)) throw new AppError('LOOP_DETECTED');
    const destination = findDestination(ctx.req);
    if (destination !== undefined) return forward(ctx, destination, sign(), send, timing);
    await dropBody(ctx.req, Number.POSITIVE_INFINITY);
    ctx.body = await receive(sign());
    ctx.status = 201;
    for (let index = 0; index < ADDED_TO_ANSWERS.length; index += 2) {
      ctx.set(ADDED_TO_ANSWERS[index] as string, ADDED_TO_ANSWERS[index + 1] as string);
    }
  });
  return router;
}

/** @throws AppError INVALID_REQUEST when there are two, or one that is no text. */
function findDestination(request: IncomingMessage): string | undefined {
  const [destination, ...more] = valuesOf(request, 'destination');
  if (more.length > 0) throw new AppError('INVALID_REQUEST', { detail: 'Destination must be given once' });
  if (destination === undefined || /^[\x20-\x7e]*$/.test(destination)) return destination;
  // What is typed goes out as UTF-8, and Node takes each of its bytes for a character.
  const bytes = Buffer.from(destination, 'latin1');
  if (!isUtf8(bytes)) throw new AppError('INVALID_REQUEST', { detail: 'Destination must be UTF-8' });
  return bytes.toString();
}

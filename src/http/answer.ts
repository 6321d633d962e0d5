import { type IncomingMessage, ServerResponse } from 'node:http';
import { dropRest } from './rest-of-body.ts';

/** Hears when a request is over: it is answered. */
export type RequestWatcher = { finish(request: IncomingMessage): void };

/**
 * An answer that arrives also where it is given before the request's body has, and that reports its end. It does so in
 * place of event listeners, because these cost as much as the routing of a request.
 */
export class Answer extends ServerResponse<IncomingMessage> {
  watcher: RequestWatcher | undefined;

  override end(...rest: unknown[]): this {
    if (this.writableEnded) return super.end(...(rest as []));
    const { req: request } = this;
    if (!request.complete && !request.destroyed && hasBody(request)) dropRest(request);
    super.end(...(rest as []));
    const { watcher } = this;
    if (this.socket?.writableLength === 0) watcher?.finish(request);
    else this.once('close', () => watcher?.finish(request)); // the client reads slowly, or an earlier answer comes first
    return this;
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

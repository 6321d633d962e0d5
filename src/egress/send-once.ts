import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { AppError } from '../errors.ts';
import { lend } from './borrowed-body.ts';
import type { Connection } from './connections.ts';
import type { Deadline, Deadlines } from './deadlines.ts';
import { networkAt } from './dial.ts';
import type { EgressAnswer, EgressLimits, EgressRequest } from './request.ts';

const ANSWER_BUFFER_BYTES = 65_536;
/** Interim heads (1xx) before the answer's own; each costs time, and nothing else counts them. */
const MAX_INTERIM = 100;
/** Mistakes that only our own code can make. */
const WRONG_USE = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED']);

export type Attempt = {
  connection: Connection;
  request: EgressRequest;
  deadlines: Deadlines;
  /** The time left to connect, and in all. */
  connectMs: number;
  totalMs: number;
  /** Called once, as soon as the connection is free again or lost. */
  onEnd(isReusable: boolean): void;
};

/**
 * Sends one request on one connection, once.
 * @throws AppError UPSTREAM_FAILED, UPSTREAM_TIMEOUT, DESTINATION_BUSY; or the signal's reason.
 */
export function attempt(parts: Attempt): Promise<EgressAnswer> {
  const { connection, request, deadlines } = parts;
  const { limits, signal } = request;
  const head = Promise.withResolvers<EgressAnswer>();
  let control: Dispatcher.DispatchController | undefined;
  let isEnded = false;

  const deadline = deadlines.start(parts.connectMs, parts.totalMs, () => stop(new AppError('UPSTREAM_TIMEOUT')));
  const onAbort = (): void => stop(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const { breakOff, ...receiver } = receive({ limits, deadline, onHead: head.resolve, end, stop });

  /** @returns whether this was the end. */
  function end(isReusable: boolean): boolean {
    if (isEnded) return false;
    isEnded = true;
    deadline.stop();
    signal?.removeEventListener('abort', onAbort);
    parts.onEnd(isReusable);
    return true;
  }

  function fail(error: unknown): void {
    if (!end(false)) return;
    breakOff(error);
    head.reject(error); // unless there was one
  }

  function stop(reason: unknown): void {
    if (isEnded) return; // the connection may be another request's by now
    fail(reason);
    const error = new Error('given up');
    connection.giveUp?.(error);
    control?.abort(error);
  }

  if (signal?.aborted) {
    onAbort(); // there will be no event
    return head.promise;
  }
  const options = {
    path: connection.target.destination.path,
    method: request.method,
    headers: request.headers as string[],
    body: request.body instanceof Readable ? lend(request.body) : request.body,
  };
  connection.client.dispatch(options, {
    onRequestStart(controller) {
      control = controller;
      if (isEnded) controller.abort(new Error('given up'));
      else if (request.admit?.(networkAt(connection.peer)) === false) stop(new AppError('DESTINATION_BUSY'));
      else deadline.allow(limits.headersMs);
    },
    onBodySent: () => deadline.allow(limits.headersMs),
    ...receiver,
    onResponseError: (_controller, error) => fail(toFailure(error)),
  });
  return head.promise;
}

type Receiving = {
  limits: EgressLimits;
  deadline: Deadline;
  onHead(answer: EgressAnswer): void;
  end(isReusable: boolean): boolean;
  stop(reason: unknown): void;
};
type Receiver = Required<
  Pick<Dispatcher.DispatchHandler, 'onResponseStart' | 'onResponseData' | 'onResponseEnd'> & {
    /** Fails the body, if there is one. */
    breakOff(error: unknown): void;
  }
>;

/** Takes the answer in, as fast as its body is read. */
function receive({ limits, deadline, onHead, end, stop }: Receiving): Receiver {
  let body: Readable | undefined;
  let interim = 0;
  let bytesLeft = limits.answerBytes ?? Number.POSITIVE_INFINITY;
  return {
    breakOff: (error) => void body?.destroy(error as Error),
    onResponseStart(controller, status) {
      if (status < 200) {
        interim += 1;
        if (interim > MAX_INTERIM) stop(new AppError('UPSTREAM_FAILED', { cause: new Error('no end of 1xx') }));
        return;
      }
      deadline.allow(limits.bodyMs);
      body = openBody({
        onRead() {
          deadline.allow(limits.bodyMs);
          controller.resume();
        },
        onDestroy: stop,
      });
      onHead({ status, headers: readHeaders(controller.rawHeaders as Buffer[]), body });
    },
    onResponseData(controller, chunk) {
      deadline.allow(limits.bodyMs);
      bytesLeft -= chunk.length;
      const isTooMuch = bytesLeft < 0;
      const isFull = body?.push(isTooMuch ? chunk.subarray(0, bytesLeft) : chunk) === false;
      if (isTooMuch) {
        body?.push(null);
        end(false);
        controller.abort(new Error('enough'));
      } else if (isFull) controller.pause();
    },
    onResponseEnd() {
      body?.push(null);
      end(true);
    },
  };
}

function openBody(on: { onRead(): void; onDestroy(error: Error | null): void }): Readable {
  const body = new Readable({
    highWaterMark: ANSWER_BUFFER_BYTES,
    read: on.onRead,
    destroy(error, done) {
      on.onDestroy(error);
      done(error);
    },
  });
  body.on('error', () => {}); // a caller that ignores the body must not fail with it
  return body;
}

function readHeaders(raw: readonly Buffer[]): [name: string, value: string][] {
  const headers: [string, string][] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    headers.push([(raw[index] as Buffer).toString('latin1'), (raw[index + 1] as Buffer).toString('latin1')]);
  }
  return headers;
}

/** Keeps only the code of an error: messages have addresses and names in them. */
function toFailure(error: NodeJS.ErrnoException): Error {
  const { code = error.name } = error;
  if (WRONG_USE.has(code)) return new TypeError('a request that cannot be sent', { cause: error });
  return new AppError('UPSTREAM_FAILED', { cause: new Error(`the destination failed: ${code}`) });
}

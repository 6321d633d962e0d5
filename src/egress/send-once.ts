import { Readable } from 'node:stream';
import { AppError } from '../errors.ts';
import { InvalidAnswer } from './answer-head.ts';
import { createAnswerReader } from './answer-reader.ts';
import type { Deadline, Deadlines } from './deadlines.ts';
import { networkAt } from './dial.ts';
import type { Line } from './line.ts';
import { type Outgoing, sendOut } from './outgoing.ts';
import type { EgressAnswer, EgressLimits, EgressRequest } from './request.ts';
import type { RequestHead } from './request-head.ts';

const ANSWER_BUFFER_BYTES = 65_536;
/** Interim heads (1xx) before the answer's own; each costs time, and nothing else counts them. */
const MAX_INTERIM = 100;
const CONTINUE = 100;

export type Attempt = {
  /** A connection that was kept. */
  line: Line | undefined;
  /** Makes a new one. @returns gives up. */
  dial(onEnd: (error: Error | null, line?: Line) => void): (error: Error) => void;
  head: RequestHead;
  request: EgressRequest;
  deadlines: Deadlines;
  /** The time left to connect, and in all. */
  connectMs: number;
  totalMs: number;
  /** Called once, when the request is over. @param kept the connection, if it is free for another request. */
  onEnd(kept: { line: Line; idleMs: number } | undefined): void;
};

/**
 * Sends one request on one connection, once.
 * @throws AppError UPSTREAM_FAILED, UPSTREAM_TIMEOUT, DESTINATION_BUSY; or the signal's reason.
 */
export function attempt(parts: Attempt): Promise<EgressAnswer> {
  const { head, request, deadlines } = parts;
  const { limits, signal } = request;
  const answered = Promise.withResolvers<EgressAnswer>();
  let { line } = parts;
  let outgoing: Outgoing | undefined;
  let giveUpDialling: ((error: Error) => void) | undefined;
  let isEnded = false;

  const deadline = deadlines.start(parts.connectMs, parts.totalMs, () => fail(new AppError('UPSTREAM_TIMEOUT')));
  const onAbort = (): void => fail(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const incoming = receive({
    limits,
    deadline,
    onHead: answered.resolve,
    onContinue: () => outgoing?.proceed(),
    onEnd: (idleMs) => end(outgoing?.isSent ? idleMs : undefined),
    onFail: (error) => fail(error),
  });

  function end(idleMs: number | undefined): void {
    if (isEnded) return;
    isEnded = true;
    deadline.stop();
    signal?.removeEventListener('abort', onAbort);
    outgoing?.stop();
    if (idleMs === undefined) line?.destroy();
    parts.onEnd(line && idleMs !== undefined ? { line, idleMs } : undefined);
  }

  function fail(error: unknown): void {
    if (isEnded) return; // the connection may be another request's by now
    end(undefined);
    incoming.breakOff(error);
    giveUpDialling?.(new Error('given up'));
    answered.reject(error); // unless there was an answer
  }

  function begin(open: Line): void {
    line = open;
    if (isEnded) {
      open.destroy();
      return;
    }
    if (request.admit?.(networkAt(open.peer)) === false) {
      fail(new AppError('DESTINATION_BUSY'));
      return;
    }
    deadline.allow(limits.headersMs);
    open.use({ onReadable: () => incoming.read(open), onDrain: () => outgoing?.onDrain(), onOver: incoming.onOver });
    outgoing = sendOut(open, head, request, {
      onPart: () => deadline.allow(limits.headersMs),
      onBreak: (error) => fail(toFailure(error)),
    });
    if (isEnded) outgoing.stop();
  }

  if (signal?.aborted)
    onAbort(); // there will be no event
  else if (line) begin(line);
  else {
    giveUpDialling = parts.dial((error, dialled) => {
      giveUpDialling = undefined;
      if (dialled) begin(dialled);
      else fail(toFailure(error as Error));
    });
  }
  return answered.promise;
}

type Receiving = {
  limits: EgressLimits;
  deadline: Deadline;
  onHead(answer: EgressAnswer): void;
  onContinue(): void;
  /** @param idleMs how long the connection may be kept; undefined if it may not. */
  onEnd(idleMs: number | undefined): void;
  onFail(error: unknown): void;
};
type Incoming = {
  /** Takes in what has arrived, as fast as the answer's body is read. */
  read(line: Line): void;
  onOver(error: Error | undefined): void;
  /** Fails the body, if there is one. */
  breakOff(error: unknown): void;
};

/** Takes one answer in. */
function receive({ limits, deadline, onHead, onContinue, onEnd, onFail }: Receiving): Incoming {
  let source: Line | undefined;
  let body: Readable | undefined;
  let idleMs: number | undefined;
  let interim = 0;
  let bytesLeft = limits.answerBytes ?? Number.POSITIVE_INFINITY;
  let isFull = false;
  let isOver = false;

  const reader = createAnswerReader({
    onInterim(status) {
      interim += 1;
      if (interim > MAX_INTERIM) throw new InvalidAnswer('no end of 1xx');
      if (status === CONTINUE) onContinue();
    },
    onHead(head) {
      ({ idleMs } = head);
      deadline.allow(limits.bodyMs);
      body = openBody({ onRead: readOn, onDestroy: onFail });
      onHead({ status: head.status, headers: head.headers, body });
    },
    onContent(content) {
      if (isOver) return;
      deadline.allow(limits.bodyMs);
      const part = content.length > bytesLeft ? content.subarray(0, bytesLeft) : content;
      isFull = body?.push(part) === false;
      if (part !== content) close(undefined);
      bytesLeft -= part.length;
    },
    onEnd: (isAlone) => close(isAlone ? idleMs : undefined),
  });

  function close(keptMs: number | undefined): void {
    if (isOver) return;
    isOver = true;
    body?.push(null);
    onEnd(keptMs);
  }
  function guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      isOver = true;
      onFail(error instanceof InvalidAnswer ? failed(error.message) : error);
    }
  }
  function readOn(): void {
    deadline.allow(limits.bodyMs);
    isFull = false;
    if (source) readFrom(source);
  }
  function readFrom(line: Line): void {
    while (!isFull && !isOver) {
      const bytes = line.read();
      if (!bytes) return;
      guard(() => reader.take(bytes));
    }
  }

  return {
    read(line) {
      source = line;
      readFrom(line);
    },
    onOver(error) {
      if (error) onFail(toFailure(error));
      else guard(reader.finish);
    },
    breakOff(error) {
      isOver = true;
      body?.destroy(error as Error);
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

/** Keeps only the code of an error: messages have addresses and names in them. */
function toFailure({ code, name }: NodeJS.ErrnoException): AppError {
  return failed(code ?? name);
}

function failed(reason: string): AppError {
  return new AppError('UPSTREAM_FAILED', { cause: new Error(`the destination failed: ${reason}`) });
}

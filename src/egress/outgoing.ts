import type { Readable } from 'node:stream';
import type { Line } from './line.ts';
import type { EgressRequest } from './request.ts';
import type { RequestHead } from './request-head.ts';

/** How long a destination may take to ask for a body that waits for 100 Continue (RFC 9110 §10.1.1): some never do. */
const CONTINUE_MS = 1_000;

/** A request that is being written to a line. */
export type Outgoing = {
  readonly isSent: boolean;
  /** The destination has asked for the body. */
  proceed(): void;
  onDrain(): void;
  /** Sends nothing more, and leaves a stream as it is. */
  stop(): void;
};

type On = {
  /** A part was written. */
  onPart(): void;
  /** The body broke off, or is not as long as its head says. */
  onBreak(error: Error): void;
};

export function sendOut(line: Line, head: RequestHead, request: EgressRequest, on: On): Outgoing {
  const { body, expectsContinue } = request;
  if (body instanceof Uint8Array) {
    if (body.length > 0) line.write(head.text, body);
    else line.write(head.text);
    on.onPart();
    return { isSent: true, proceed() {}, onDrain() {}, stop() {} };
  }
  line.write(head.text);
  const pouring = pour(line, body, head.lengthBytes, on);
  const timer = expectsContinue ? setTimeout(pouring.proceed, CONTINUE_MS).unref() : undefined;
  if (!timer) pouring.proceed();
  return {
    get isSent() {
      return pouring.isSent;
    },
    proceed: pouring.proceed,
    onDrain: pouring.onDrain,
    stop() {
      clearTimeout(timer);
      pouring.stop();
    },
  };
}

/** Sends the bytes of a stream on, which are read only as fast as the line takes them. */
function pour(line: Line, source: Readable, lengthBytes: number | undefined, on: On): Outgoing {
  let state: 'waiting' | 'pouring' | 'sent' | 'stopped' = 'waiting';
  let sentBytes = 0;

  function onData(chunk: Buffer): void {
    if (chunk.length === 0) return; // as a chunk, it would end the body
    sentBytes += chunk.length;
    if (lengthBytes !== undefined && sentBytes > lengthBytes) {
      fail('the body is too long');
      return;
    }
    const isFree =
      lengthBytes === undefined ? line.write(`${chunk.length.toString(16)}\r\n`, chunk, '\r\n') : line.write(chunk);
    if (!isFree) source.pause();
    on.onPart();
  }
  function onEnd(): void {
    if (lengthBytes !== undefined && sentBytes < lengthBytes) {
      fail('the body is too short');
      return;
    }
    leave('sent');
    if (lengthBytes === undefined) line.write('0\r\n\r\n');
    on.onPart();
  }
  const onBreak = (): void => fail('the body broke off');

  function fail(message: string): void {
    leave('stopped');
    on.onBreak(new Error(message));
  }
  function leave(next: 'sent' | 'stopped'): void {
    source.off('data', onData).off('end', onEnd).off('error', onBreak).off('close', onBreak);
    if (state === 'pouring' && next === 'stopped') source.pause();
    state = next;
  }

  return {
    get isSent() {
      return state === 'sent';
    },
    proceed() {
      if (state !== 'waiting') return;
      state = 'pouring';
      if (source.readableEnded) onEnd();
      else if (source.destroyed) onBreak();
      else source.on('data', onData).once('end', onEnd).once('error', onBreak).once('close', onBreak).resume();
    },
    onDrain() {
      if (state === 'pouring') source.resume();
    },
    stop() {
      if (state !== 'sent') leave('stopped');
    },
  };
}

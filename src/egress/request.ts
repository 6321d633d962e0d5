import type { Readable } from 'node:stream';
import type { Rules } from './destination.ts';

export type EgressLimits = {
  /** Name and address, connection, TLS. */
  connectMs: number;
  /** From the last byte sent to the head of the answer. */
  headersMs: number;
  /** Without a byte of the answer's body, or anybody taking one. */
  bodyMs: number;
  totalMs: number;
  /** The body ends after so many, and so does the connection. */
  answerBytes?: number;
};

export type EgressRequest = {
  url: string;
  rules: Rules;
  method: 'POST';
  /** Name, value, name, value; without Host and what belongs to a connection (Transfer-Encoding, Expect, …). */
  headers: readonly string[];
  /** A stream is not destroyed when the request fails; its length is that of a `content-length` among the headers, if any. */
  body: Readable | Uint8Array;
  /**
   * Where it fails on a connection that was kept from an earlier request, it is sent once more, on a new one: the other side may
   * have closed at that moment, and may have read it all the same. Only for a body that is no stream.
   */
  isRepeatable?: boolean;
  /** Ends everything at once; the reason is what `send` throws, and what `body` ends with. */
  signal?: AbortSignal;
  limits: EgressLimits;
};

export type EgressAnswer = {
  status: number;
  /** As they came, name by name. */
  headers: readonly (readonly [name: string, value: string])[];
  /** Fails where the answer breaks off. Left unread, it ends with the limit `bodyMs`. */
  body: Readable;
};

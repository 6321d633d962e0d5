import type { Readable } from 'node:stream';
import type { Rules } from './destination.ts';

export type EgressLimits = {
  /** Name and address, connection, TLS. */
  connectMs: number;
  /** From the last byte sent to the head of the answer. */
  headersMs: number;
  /** Without a byte of the answer's body arriving, or being read. */
  bodyMs: number;
  totalMs: number;
  /** The body ends after this many bytes, and so does the connection. */
  answerBytes?: number;
};

export type EgressRequest = {
  url: string;
  rules: Rules;
  method: 'POST';
  /** Name, value, name, value; without Host and the headers of a connection (Transfer-Encoding, Expect, …). */
  headers: readonly string[];
  /** A stream is not destroyed when the request fails; its length is that of a `content-length` among the headers, if any. */
  body: Readable | Uint8Array;
  /**
   * A stream is read only once the destination has asked for it (RFC 9110 §10.1.1), or has been silent for a second.
   * If it answers instead, nothing of the body is sent.
   */
  expectsContinue?: boolean;
  /**
   * If the request fails on a connection that was kept from an earlier one, it is sent once more, on a new connection:
   * the other side may have closed at that moment, and may have read the request all the same. Not for a stream.
   */
  isRepeatable?: boolean;
  /** Ends everything at once; `send` throws the reason, and `body` fails with it. */
  signal?: AbortSignal;
  /**
   * Asked for the network (an IPv4 address, or an IPv6 /64) that is dialled first, and for the one that is connected to
   * before a byte is sent. If it returns false, the request ends with DESTINATION_BUSY.
   */
  admit?(network: string): boolean;
  limits: EgressLimits;
};

export type EgressAnswer = {
  status: number;
  /** As they arrived, name by name. */
  headers: readonly (readonly [name: string, value: string])[];
  /** Fails if the answer breaks off. Left unread, it ends with the limit `bodyMs`. */
  body: Readable;
};

import { randomBytes } from 'node:crypto';
import { bodyLimitBytes } from '../../../src/http/body-limit.ts';
import { remember } from '../../support/process/leaks.ts';

/** What is sent, piece by piece; a number is a pause in ms. */
export type Piece = string | Buffer | number;
export type HostileCase = {
  name: string;
  pieces: readonly Piece[];
  /** What is done when all is sent: our side closed, or the connection reset. */
  ending?: 'end' | 'reset';
  /** Whether a request is left unfinished, so that nothing more can be asked on its connection. */
  isUnfinished?: boolean;
  isHead?: boolean;
};
export type CaseOptions = Omit<HostileCase, 'name' | 'pieces'>;
/** Takes note of a case. */
export type Add = (name: string, pieces: Piece | readonly Piece[], options?: CaseOptions) => void;

/** Looks like the key of a secret; any part of it in a log is a leak. */
export const KEY: string = randomBytes(36).toString('base64url');
remember(KEY);

export const LIMIT: number = bodyLimitBytes(1024 * 1024);
export const BODY = '{"secret":"s"}';
export const HOST = 'Host: x\r\n';
export const UNFINISHED: CaseOptions = { isUnfinished: true };

/** A server that believes the wrong length takes this for a request of its own. */
export const SMUGGLED: string = `POST /generate?${KEY} HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n${BODY}`;

/** A request that creates a secret if it gets through, apart from its hostile part. */
export const create = (headers: string, body = BODY, line = 'POST /generate HTTP/1.1'): string =>
  `${line}\r\n${HOST}${headers}\r\n${body}`;
export const sized = (body: string): string => `Content-Length: ${Buffer.byteLength(body, 'latin1')}\r\n`;
export const createWith = (header: string): string => create(`${header}\r\n${sized(BODY)}`);
export const get = (target: string): string => `GET ${target} HTTP/1.1\r\n${HOST}\r\n`;
export const chunked = (body: string, encoding = 'Transfer-Encoding: chunked'): string =>
  create(`${encoding}\r\n`, body);
export const chunk = (body: string): string => `${body.length.toString(16)}\r\n${body}\r\n`;
/** A whole chunked body. */
export const COMPLETE: string = `${chunk(BODY)}0\r\n\r\n`;

/** How the end of an answer's body is found (RFC 9112 §6.3). */
export type Framing = { kind: 'length'; bytes: number } | { kind: 'chunks' } | { kind: 'close' };

export type AnswerHead = {
  status: number;
  /** As they arrived, name by name. */
  headers: [name: string, value: string][];
  framing: Framing;
  /** How long the connection may be kept after the answer, in ms; undefined if it may not. */
  idleMs: number | undefined;
};

/** An answer that breaks the rules of HTTP/1, or breaks off. The message has nothing of the answer in it. */
export class InvalidAnswer extends Error {
  override readonly name = 'InvalidAnswer';
}

/** RFC 9112 §4 and §5; a reason phrase may be missing, with the blank before it. */
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const FIELD_LINE = /^([!#$%&'*+.^_`|~\w-]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)$/;
/** Leading zeros do not count; every number of 15 digits is exact. */
const LENGTH = /^0*(\d{1,15})$/;

/** If the other side does not say how long it waits: less than servers usually do (5 s, as Node). */
const IDLE_MS = 4_000;
const MAX_IDLE_MS = 30_000;
/** Taken off the time that the other side says. */
const IDLE_MARGIN_MS = 1_000;

/**
 * @param text without the empty line at its end.
 * @throws InvalidAnswer for a head that breaks the rules of HTTP/1.1 or leaves the end of the body in doubt.
 */
export function parseAnswerHead(text: string): AnswerHead {
  const [first = '', ...lines] = text.split('\r\n');
  const [, minor, code] = STATUS_LINE.exec(first) ?? [];
  if (code === undefined) throw new InvalidAnswer('an invalid status line');
  const status = Number(code);
  const headers = lines.map(parseFieldLine);
  const framing = findFraming(status, headers);
  const hasEnd = framing.kind !== 'close';
  return { status, headers, framing, idleMs: hasEnd ? findIdleMs(status, minor === '1', headers) : undefined };
}

/** A folded line is invalid too: a proxy may refuse an answer with one (RFC 9112 §5.2). */
export function parseFieldLine(line: string): [name: string, value: string] {
  const [, name, value] = FIELD_LINE.exec(line) ?? [];
  if (name === undefined || value === undefined) throw new InvalidAnswer('an invalid header');
  return [name, value.replace(/[\t ]+$/, '')];
}

function findFraming(status: number, headers: AnswerHead['headers']): Framing {
  if (hasNoBody(status)) return { kind: 'length', bytes: 0 };
  const encodings = valuesOf(headers, 'transfer-encoding');
  const lengths = valuesOf(headers, 'content-length');
  // With both, or with two of one kind, somebody on the way may have found another end (RFC 9112 §11.2).
  if (encodings.length + lengths.length > 1) throw new InvalidAnswer('two lengths');
  const [encoding] = encodings;
  const [length] = lengths;
  if (encoding !== undefined) {
    if (encoding.toLowerCase() !== 'chunked') throw new InvalidAnswer('a transfer encoding that nobody asked for');
    return { kind: 'chunks' };
  }
  if (length === undefined) return { kind: 'close' };
  const [, digits] = LENGTH.exec(length) ?? [];
  if (digits === undefined) throw new InvalidAnswer('an invalid length');
  return { kind: 'length', bytes: Number(digits) };
}

function hasNoBody(status: number): boolean {
  return status < 200 || status === 204 || status === 304;
}

/** RFC 9112 §9.3; `Keep-Alive: timeout=5` is not in an RFC, but servers say it. */
function findIdleMs(status: number, isHttp11: boolean, headers: AnswerHead['headers']): number | undefined {
  const options = new Set(
    valuesOf(headers, 'connection').flatMap((value) => value.split(',').map((option) => option.trim().toLowerCase())),
  );
  const isKept = isHttp11 ? !options.has('close') : options.has('keep-alive');
  if (!isKept) return undefined;
  // HTTP/1.0 knows no chunks (RFC 9112 §6.1), and the sender may think that a 204 has a body.
  const isDoubtful = valuesOf(headers, 'transfer-encoding').length > 0 && (!isHttp11 || hasNoBody(status));
  const hasNeedlessLength = status === 204 && valuesOf(headers, 'content-length').some((value) => value !== '0');
  if (isDoubtful || hasNeedlessLength) return undefined;
  const hint = /(?:^|[,;\t ])timeout[\t ]*=[\t ]*"?(\d+)/i.exec(valuesOf(headers, 'keep-alive').join())?.[1];
  if (hint === undefined) return IDLE_MS;
  const ms = Math.min(Number(hint) * 1_000 - IDLE_MARGIN_MS, MAX_IDLE_MS);
  return ms > 0 ? ms : undefined;
}

function valuesOf(headers: AnswerHead['headers'], wanted: string): string[] {
  return headers
    .filter(([name]) => name.length === wanted.length && name.toLowerCase() === wanted)
    .map(([, value]) => value);
}

import { type BodyReader, createBodyReader } from './answer-body.ts';
import { type AnswerHead, InvalidAnswer, parseAnswerHead } from './answer-head.ts';

const MAX_HEAD_BYTES = 16_384;
const NOTHING: Buffer = Buffer.alloc(0);
const HEAD_END = '\r\n\r\n';

export type AnswerReader = {
  /** @throws InvalidAnswer if the bytes are no answer. */
  take(bytes: Buffer): void;
  /** The other side has properly ended the connection. @throws InvalidAnswer if the answer is not complete. */
  finish(): void;
};

export type On = {
  /** A 1xx answer, which another one follows. */
  onInterim(status: number): void;
  onHead(head: AnswerHead): void;
  onContent(content: Buffer): void;
  /** @param isAlone nothing came after the answer. */
  onEnd(isAlone: boolean): void;
};

/** Reads one answer of HTTP/1, in whatever parts it arrives (RFC 9112). */
export function createAnswerReader({ onInterim, onHead, onContent, onEnd }: On): AnswerReader {
  let begun: Buffer = NOTHING;
  let body: BodyReader | undefined;
  let isAtClose = false;

  /** @returns what is behind the head, once it is complete. */
  function takeHead(bytes: Buffer): Buffer | undefined {
    const all = begun.length === 0 ? bytes : Buffer.concat([begun, bytes]);
    const end = all.indexOf(HEAD_END);
    if ((end < 0 ? all.length : end) > MAX_HEAD_BYTES) throw new InvalidAnswer('a head that is too large');
    begun = end < 0 ? all : NOTHING;
    if (end < 0) return undefined;
    const head = parseAnswerHead(all.toString('latin1', 0, end));
    if (head.status === 101) throw new InvalidAnswer('another protocol');
    if (head.status < 200) onInterim(head.status);
    else {
      body = createBodyReader(head.framing, onContent);
      isAtClose = head.framing.kind === 'close';
      onHead(head);
    }
    return all.subarray(end + HEAD_END.length);
  }

  return {
    take(bytes) {
      let rest: Buffer | undefined = bytes;
      while (rest && !body) rest = rest.length > 0 ? takeHead(rest) : undefined;
      const behind = rest && body?.take(rest); // an empty body is complete with its head
      if (behind) onEnd(behind.length === 0);
    },
    finish() {
      if (!isAtClose) throw new InvalidAnswer('an answer that breaks off');
      onEnd(false);
    },
  };
}

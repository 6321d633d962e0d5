import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../process/program.ts';

/** Where to connect to. */
export type RawTarget = { port: number; host?: string; localAddress?: string } | { path: string };

export type RawAnswer = { status: number; headers: ReadonlyMap<string, string>; text: string };

/** A connection on which bytes are sent as they are. Its own side stays open when the other one closes. */
export type Conversation = {
  send(bytes: string | Buffer): void;
  /** Closes our side. */
  end(): void;
  /** Closes both sides, as a client does that no longer waits. */
  close(): void;
  /** Resets the connection. */
  reset(): void;
  /** The answers so far, without 100 Continue. */
  answers(): RawAnswer[];
  /** What came after them and is none. */
  rest(): string;
  /** Whether the other side has closed, or broken, the connection. */
  isClosed(): boolean;
  /** Waits until that or so many answers are there. @throws when neither happens. */
  untilAnswered(count: number): Promise<void>;
  /** Waits until nothing has come for a while; longer, when nothing has come at all. */
  settle(): Promise<void>;
};

const QUIET_MS = 30;
const NOTHING_MS = 250;

export async function converse(target: RawTarget, { isHead = false } = {}): Promise<Conversation> {
  const socket: Socket = connect({ host: '127.0.0.1', ...target, allowHalfOpen: true });
  let received = '';
  let isOver = false;
  let lastAt = performance.now();
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
    lastAt = performance.now();
  });
  for (const event of ['end', 'error', 'close']) {
    socket.on(event, () => {
      isOver = true;
    });
  }
  socket.setNoDelay(true);
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const conversation: Conversation = {
    send: (bytes) => void socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes),
    end: () => void socket.end(),
    close: () => void socket.destroy(),
    reset: () => void ('path' in target ? socket.destroy() : socket.resetAndDestroy()), // only TCP knows resets
    answers: () => parseAnswers(received, isHead).answers,
    rest: () => parseAnswers(received, isHead).rest,
    isClosed: () => isOver,
    untilAnswered: (count) => until(`${count} answers`, () => isOver || conversation.answers().length >= count),
    async settle() {
      for (;;) {
        const quietMs = conversation.answers().length > 0 ? QUIET_MS : NOTHING_MS;
        if (isOver || performance.now() - lastAt >= quietMs) return;
        await sleep(5);
      }
    },
  };
  lastAt = performance.now();
  return conversation;
}

/** @param isHead whether the answers have no body whatever their length says. */
export function parseAnswers(text: string, isHead = false): { answers: RawAnswer[]; rest: string } {
  const answers: RawAnswer[] = [];
  let rest = text;
  for (;;) {
    const head = /^HTTP\/1\.1 (\d{3}) ?[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/.exec(rest);
    if (!head) return { answers, rest };
    const lines = (head[2] ?? '').split('\r\n').filter(Boolean);
    const headers = new Map(
      lines.map((line) => [line.split(':')[0]?.toLowerCase() ?? '', line.replace(/^[^:]*: ?/, '')]),
    );
    const status = Number(head[1]);
    const hasBody = !isHead && status !== 204 && status !== 304 && status >= 200;
    const length = hasBody ? Number(headers.get('content-length') ?? 0) : 0;
    const body = rest.slice(head[0].length, head[0].length + length);
    if (body.length < length) return { answers, rest };
    rest = rest.slice(head[0].length + length);
    if (status >= 200) answers.push({ status, headers, text: body });
  }
}

import { fstatSync, fsyncSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import type { ReadStream } from 'node:tty';
import { EXIT, Failure } from './failure.ts';
import { visibleLine } from './visible.ts';

/** A line on stderr, in which nothing is obeyed by a terminal. It may have no reader any more, which changes nothing. */
export function complain(line: string): void {
  process.stderr.write(`${visibleLine(line)}\n`);
}
process.stderr.on('error', () => {});

export function hint(line: string): void {
  if (process.stderr.isTTY) complain(line);
}

// Every write has a callback, which is where the error is dealt with.
process.stdout.on('error', () => {});

/** Writes to stdout. @throws what the system says when not all of it was taken. */
export async function print(content: string | Uint8Array): Promise<void> {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  if (bytes.length === 0) return;
  // Node counts a write that a full disk took half of as done.
  if (isFile(STDOUT)) return writeToFile(STDOUT, bytes);
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

export async function printLine(line: string): Promise<void> {
  await print(`${line}\n`);
}

const STDOUT = 1;

function isFile(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile();
  } catch {
    return false;
  }
}

/**
 * Where stdout is closed, Node has opened the null device in its place, for reading too, and all writing succeeds. What
 * a shell opens for `>/dev/null` cannot be read.
 * @throws Error with the code EBADF.
 */
export function requireStdout(): void {
  if (!isOpenNull()) return;
  throw Object.assign(new Error('stdout is closed'), { code: 'EBADF' });
}

function isOpenNull(): boolean {
  try {
    if (fstatSync(STDOUT).rdev !== statSync('/dev/null').rdev) return false;
    readSync(STDOUT, Buffer.alloc(1));
    return true;
  } catch {
    return false;
  }
}

/** Writes all of it, onto the disk. @throws what the system says, such as ENOSPC. */
export function writeToFile(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
  try {
    fsyncSync(descriptor);
  } catch (error) {
    // Some file systems have no such thing. All other errors mean that content is missing.
    if (!['EINVAL', 'ENOTSUP', 'ENOSYS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

const ANSWER_MAX_CHARACTERS = 16 << 20;

/**
 * Asks a person at the terminal, and does not show what is typed. It asks there also when stdin is something else.
 * @returns undefined where there is no terminal.
 */
export async function askHidden(question: string, isText = false): Promise<string | undefined> {
  const terminal = process.stdin.isTTY ? process.stdin : await openTerminal();
  if (!terminal) return undefined;
  terminal.setRawMode(true); // before the question, so that nothing is shown that is typed at once
  process.stderr.write(question);
  try {
    return await readHidden(terminal, isText);
  } finally {
    terminal.setRawMode(false);
    terminal.pause();
    if (terminal !== process.stdin) terminal.destroy();
    process.stderr.write('\n');
  }
}

async function openTerminal(): Promise<ReadStream | undefined> {
  if (process.platform === 'win32') return undefined;
  try {
    const descriptor = openSync('/dev/tty', 'r+');
    const { ReadStream } = await import('node:tty');
    return new ReadStream(descriptor);
  } catch {
    return undefined;
  }
}

/** Ends at the end of a line, or of a text at Ctrl-D. */
async function readHidden(terminal: ReadStream, isText: boolean): Promise<string> {
  const decoder = new StringDecoder('utf8');
  let typed = '';
  for await (const chunk of terminal.iterator({ destroyOnReturn: false })) {
    for (const character of decoder.write(chunk as Buffer)) {
      if (character === '\x03') throw new Failure(EXIT.signal + 2, 'interrupted');
      if (character === '\x04' || (!isText && /[\r\n]/.test(character))) return typed;
      if (/[\b\x7f]/.test(character)) typed = [...typed].slice(0, -1).join('');
      else if (character === '\x15') typed = '';
      else typed += character === '\r' ? '\n' : character;
    }
    if (typed.length > ANSWER_MAX_CHARACTERS) throw new Failure(EXIT.usage, 'too much was typed');
  }
  return typed;
}

const BAR = 24;
/** What is done sooner shows no bar. */
const BAR_AFTER_MS = 400;

/** Draws how much is done, on a terminal alone. `clear` makes room for other lines. */
export function createBar(what: string): { show(fraction: number): void; clear(): void } {
  let startedAt: number | undefined;
  let drawn = '';
  return {
    show(fraction) {
      startedAt ??= performance.now();
      if (!process.stderr.isTTY || performance.now() - startedAt < BAR_AFTER_MS) return;
      const full = Math.round(fraction * BAR);
      const line = `${what} [${'#'.repeat(full).padEnd(BAR, '.')}] ${Math.round(fraction * 100)} %`;
      if (line !== drawn) process.stderr.write(`\r${line}`);
      drawn = line;
    },
    clear() {
      if (drawn) process.stderr.write(`\r${' '.repeat(drawn.length)}\r`);
      drawn = '';
    },
  };
}

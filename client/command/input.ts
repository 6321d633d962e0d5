import { createReadStream, openAsBlob, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { EXIT, Failure, systemCode } from './failure.ts';
import { askHidden, complain } from './terminal.ts';

/** No server takes more in one secret. */
const CONTENT_MAX_BYTES = 11 << 20;
const LINK_MAX_BYTES = 16 << 10;
const PHRASE_MAX_BYTES = 1 << 10;

const TOO_LARGE = `that is more than ${CONTENT_MAX_BYTES >> 20} MiB, which no server takes`;

/** What is sent: text from stdin, or files, or both, where one of the files is `-`. */
export async function readContent(operands: readonly string[]): Promise<{ text?: string; files: File[] }> {
  const paths = operands.filter((path) => path !== '-');
  const isTextWanted = paths.length === 0 || paths.length < operands.length;
  const files = await readFiles(operands);
  return { ...(isTextWanted && { text: await readText() }), files };
}

async function readFiles(operands: readonly string[]): Promise<File[]> {
  const files: File[] = [];
  let left = CONTENT_MAX_BYTES;
  for (const [index, path] of operands.entries()) {
    if (path === '-') continue;
    const content = await readFileAt(path, left).catch((error) => {
      if (error instanceof Failure) throw error;
      // The argument is not repeated: it may be a secret that somebody meant to send.
      const reason = `argument ${index + 1} is not a file that can be read (${systemCode(error)})`;
      throw new Failure(EXIT.usage, `${reason}. Text is sent from stdin: others can see arguments (ps).`);
    });
    left -= content.size;
    files.push(new File([content], basename(path)));
  }
  return files;
}

async function readFileAt(path: string, maxBytes: number): Promise<Blob> {
  const found = await stat(path);
  if (found.isDirectory()) throw new Failure(EXIT.usage, 'a folder cannot be sent: make an archive of it');
  if (found.size > maxBytes) throw new Failure(EXIT.failed, TOO_LARGE);
  // A file is in memory only once it is sealed. A pipe does not say how long it is, nor do the files of /proc.
  if (found.isFile() && found.size > 0) return openAsBlob(path);
  return new Blob([await readAll(createReadStream(path), maxBytes)]);
}

async function readAll(stream: AsyncIterable<unknown>, maxBytes: number): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxBytes) throw new Failure(EXIT.failed, TOO_LARGE);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

/** Reads stdin to its end, without the line end that `echo` adds. */
async function readText(): Promise<string> {
  const text = process.stdin.isTTY
    ? await askHidden('The secret, which is not shown; end it with Ctrl-D: ', true)
    : decodeText(await readAll(process.stdin, CONTENT_MAX_BYTES + 2));
  const content = withoutLineEnd(text ?? '');
  if (content === '') throw new Failure(EXIT.usage, 'there is nothing to send: stdin is empty');
  return content;
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Failure(EXIT.usage, 'the input is not UTF-8 text: send it as a file (hushbox send FILE)');
  }
}

function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '');
}

/** @param operand a link or a key, or `-` to read it from stdin. */
export async function readLink(operand: string): Promise<string> {
  if (operand !== '-') {
    warnOfLink(operand);
    return operand;
  }
  if (process.stdin.isTTY) return ((await askHidden('The link, which is not shown: ')) ?? '').trim();
  const text = decodeText(await readAll(process.stdin, LINK_MAX_BYTES)).trim();
  if (text === '') throw new Failure(EXIT.usage, 'which link? stdin is empty');
  return text;
}

/** Of what stands in an argument, everybody on the machine can see that it is there. */
export function warnOfLink(operand: string, instead = 'give it on stdin, with - in its place'): void {
  if (!operand.includes('://')) return;
  complain(`hushbox: warning: others on this machine can see a link in an argument (ps): ${instead}`);
}

/**
 * @param question who the phrase is for.
 * @param readFile reads the file that is to be used in place of a terminal, if there is one.
 */
export async function readPhrase(question: string, readFile: (() => string) | undefined): Promise<string> {
  const phrase = readFile ? readFile() : await askHidden(`${question}: `);
  if (phrase === undefined) {
    throw new Failure(
      EXIT.phrase,
      'a phrase is needed, and there is no terminal to ask for it: set HUSHBOX_PHRASE_FILE',
    );
  }
  if (phrase === '') throw new Failure(EXIT.phrase, 'a phrase is needed, and this one is empty');
  if (Buffer.byteLength(phrase.normalize('NFC')) > PHRASE_MAX_BYTES) {
    throw new Failure(EXIT.phrase, 'a phrase takes at most 1 KiB');
  }
  return phrase;
}

/** @param file what HUSHBOX_PHRASE_FILE says. It is read once, for it may be a pipe. */
export function createPhraseFile(file: string | undefined): (() => string) | undefined {
  if (!file) return undefined;
  let phrase: string | undefined;
  return () => {
    phrase ??= readPhraseFile(file);
    return phrase;
  };
}

function readPhraseFile(file: string): string {
  try {
    return withoutLineEnd(decodeText(readFileSync(file)));
  } catch (error) {
    const reason = error instanceof Failure ? 'it is not UTF-8' : systemCode(error);
    throw new Failure(EXIT.phrase, `HUSHBOX_PHRASE_FILE cannot be read (${reason})`);
  }
}

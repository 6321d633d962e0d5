import type { Hushbox, Opened } from '../hushbox.ts';
import { checkLink } from './addresses.ts';
import { type Options, onlyOperand, refuseBoth } from './arguments.ts';
import type { Context } from './context.ts';
import { EXIT, Failure } from './failure.ts';
import { readLink } from './input.ts';
import { checkFolder, printContent, rescue, saveFile } from './save.ts';
import { createBar, hint, printLine, requireStdout } from './terminal.ts';
import { uninterrupted } from './uninterrupted.ts';
import { visibleJson } from './visible.ts';

const HERE = '.';
const STDOUT = '-';

export async function open(context: Context): Promise<number> {
  const { options } = context;
  refuseJsonToStdout(options);
  const link = await readLink(onlyOperand(context, 'link'));
  const { base } = checkLink(link, ['secret'], options.insecure);
  return openLink(context, context.openLinks(base), link);
}

/** @throws WrongUse */
export function refuseJsonToStdout({ json, out }: Options): void {
  refuseBoth(json, out === STDOUT || undefined, '--json and --out - both write to stdout');
}

/** Reads a secret and puts it where it belongs: text to stdout, files into a folder. */
export async function openLink({ options, askPhrase }: Context, box: Hushbox, link: string): Promise<number> {
  const look = await box.look(link);
  if (!look.answered) throw new Failure(EXIT.notAnswered, 'Nobody has answered this request yet.');
  const { out } = options;
  if (out !== STDOUT && (out !== undefined || look.hasFiles)) checkFolder(out ?? HERE);
  const phrase = look.phrase ? await askPhrase('Phrase of this secret') : undefined;
  return uninterrupted(async () => {
    const bar = createBar('Reading');
    const opened = await box.open(link, { phrase, onProgress: bar.show }).finally(bar.clear);
    return deliver(opened, options);
  });
}

type Piece = { what: string; bytes: Uint8Array };

/** Whatever cannot be written is kept in another place. */
async function deliver({ text, files }: Opened, options: Options): Promise<number> {
  const texts: Piece[] = text === undefined ? [] : [{ what: 'the text', bytes: Buffer.from(text) }];
  const contents: (Piece & { file: File })[] = [];
  for (const file of files) {
    contents.push({ file, what: `the file ${file.name}`, bytes: new Uint8Array(await file.arrayBuffer()) });
  }
  if (options.out === STDOUT) return deliverToStdout([...texts, ...contents]);
  const written: { name: string; type: string; bytes: number; path: string }[] = [];
  let exit: number = EXIT.done;
  for (const { file, what, bytes } of contents) {
    try {
      const path = saveFile(options.out ?? HERE, file.name, bytes);
      written.push({ name: file.name, type: file.type, bytes: bytes.length, path });
      hint(`${path}: ${bytes.length} bytes`);
    } catch (error) {
      exit = EXIT.failed;
      rescue(what, bytes, error);
    }
  }
  try {
    if (text !== undefined) requireStdout();
    if (options.json) await printLine(visibleJson({ text, files: written }));
    else if (text !== undefined) await printContent(text);
  } catch (error) {
    exit = EXIT.failed;
    for (const { what, bytes } of texts) rescue(what, bytes, error);
  }
  return exit;
}

async function deliverToStdout(pieces: readonly Piece[]): Promise<number> {
  const [only, more] = pieces;
  try {
    if (more) throw new Failure(EXIT.failed, 'more than one');
    requireStdout();
    if (only) await printContent(only.bytes);
    return EXIT.done;
  } catch (error) {
    const reason = error instanceof Failure ? { code: '--out - is for a single file' } : error;
    for (const { what, bytes } of pieces) rescue(what, bytes, reason);
    return EXIT.failed;
  }
}

import type { Look } from '../hushbox.ts';
import { checkLink } from './addresses.ts';
import { onlyOperand } from './arguments.ts';
import { type Context, printResult } from './context.ts';
import { EXIT } from './failure.ts';
import { readLink } from './input.ts';
import { complain } from './terminal.ts';
import { visibleLine } from './visible.ts';

/** Says what a link leads to, and uses nothing up. */
export async function look(context: Context): Promise<number> {
  const { options } = context;
  const link = await readLink(onlyOperand(context, 'link'));
  const { base, kind } = checkLink(link, ['secret', 'request'], options.insecure);
  const box = context.openLinks(base);
  if (kind === 'request') {
    const { note, expiresAt, isSealed } = await box.lookAtRequest(link);
    const line = `A request that waits for an answer${quoted(note)}, until ${expiresAt}`;
    await printResult(options, line, { note, expires_at: expiresAt, sealed: isSealed });
    return EXIT.done;
  }
  const found = await box.look(link);
  await printResult(options, describeSecret(found), membersOf(found));
  return found.answered ? EXIT.done : EXIT.notAnswered;
}

function describeSecret(found: Look): string {
  const { expiresAt } = found;
  if (!found.answered) return `Your request is not answered yet${quoted(found.note)}; it waits until ${expiresAt}`;
  const what = found.hasFiles ? 'A secret with files' : 'A secret';
  return `${what} that waits until ${expiresAt}; ${found.phrase ? 'it needs a phrase' : 'no phrase'}`;
}

function membersOf(found: Look): object {
  const { expiresAt: expires_at } = found;
  if (!found.answered) return { answered: false, note: found.note, expires_at };
  return { answered: true, phrase: found.phrase, sealed: found.isSealed, files: found.hasFiles, expires_at };
}

/** A note comes from whoever made the request. */
function quoted(note: string | undefined): string {
  return note === undefined ? '' : ` ("${visibleLine(note)}")`;
}

/** A receipt key, or the link of a page that follows a secret. */
async function readReceipt(context: Context) {
  const operand = await readLink(onlyOperand(context, 'receipt key'));
  if (!operand.includes('://')) return { kind: 'receipt', key: operand, box: context.openServer(), link: operand };
  const { kind, base, key } = checkLink(operand, ['receipt', 'secret'], context.options.insecure);
  return { kind, key, box: context.openLinks(base), link: operand };
}

export async function receipt(context: Context): Promise<number> {
  const { kind, key, box, link } = await readReceipt(context);
  if (kind !== 'receipt') checkLink(link, ['receipt']);
  const { state, createdAt, expiresAt, endedAt, wrongTries, reads } = await box.receipt(key);
  const since = endedAt ? ` since ${endedAt}` : ` until ${expiresAt}`;
  await printResult(context.options, `${state}${since}; incorrect phrases: ${wrongTries}`, {
    state,
    created_at: createdAt,
    expires_at: expiresAt,
    ended_at: endedAt,
    wrong_tries: wrongTries,
    reads,
  });
  return EXIT.done;
}

/** Burns a secret by its receipt key, or withdraws a request by the link to keep. */
export async function burn(context: Context): Promise<number> {
  const { kind, key, box, link } = await readReceipt(context);
  if (kind === 'receipt') await box.burn(key);
  else await box.withdraw(link);
  const word = kind === 'receipt' ? 'burned' : 'withdrawn';
  if (context.options.json) await printResult(context.options, '', { [word]: true });
  else complain(word);
  return EXIT.done;
}

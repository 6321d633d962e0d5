import { setTimeout as sleep } from 'node:timers/promises';
import type { Hushbox } from '../hushbox.ts';
import { checkLink } from './addresses.ts';
import { parseLifetime, refuseBoth } from './arguments.ts';
import { type Context, printResult } from './context.ts';
import { EXIT, exitOf, WrongUse } from './failure.ts';
import { readContent, readLink } from './input.ts';
import { openLink, refuseJsonToStdout } from './open.ts';
import { forTerminal } from './send.ts';
import { complain, createBar, hint } from './terminal.ts';

/** Prints the link to send on stdout, and the one to keep on stderr. */
export async function request(context: Context): Promise<number> {
  const { options, operands } = context;
  if (operands.length > 0) throw new WrongUse('too many arguments; a note follows --note');
  refuseBoth(options.out, !options.wait || undefined, '--out is for --wait');
  refuseJsonToStdout(options);
  const box = context.openServer();
  const { note, notify, json } = options;
  const made = await box.request({ note, ttl: parseLifetime(options.ttl), notify });
  const { link, keepLink, expiresAt, webhookSecret } = made;
  const members = { link, keep_link: keepLink, expires_at: expiresAt, webhook_secret: webhookSecret };
  await printResult(options, link, members);
  if (!json) complain(forTerminal('Keep this link: it alone opens the answer. ') + keepLink);
  if (!json && webhookSecret) complain(forTerminal('Webhook secret, to verify calls with: ') + webhookSecret);
  if (!options.wait) return EXIT.done;
  hint('Waiting for the answer …');
  await untilAnswered(box, keepLink);
  return openLink(context, box, keepLink);
}

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 10_000;

/** Asks now and then, also while the server is away for a time. The request's own lifetime ends it. */
async function untilAnswered(box: Hushbox, keepLink: string): Promise<void> {
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(1.2 * waitMs, LONGEST_WAIT_MS)) {
    await sleep(waitMs);
    try {
      if ((await box.look(keepLink)).answered) return;
    } catch (error) {
      if (exitOf(error) !== EXIT.unavailable) throw error;
    }
  }
}

export async function answer(context: Context): Promise<number> {
  const { options, operands } = context;
  const [operand = '', ...files] = operands;
  if (operand === '') throw new WrongUse('which link?');
  if (operand === '-' && (files.length === 0 || files.includes('-'))) {
    throw new WrongUse('the link and the text cannot both come from stdin');
  }
  const link = await readLink(operand);
  const { base } = checkLink(link, ['request'], options.insecure);
  const bar = createBar('Sending');
  const box = context.openLinks(base, bar.show);
  const { note } = await box.lookAtRequest(link);
  if (note !== undefined) hint(`What is asked for, by somebody who is not known: "${note}"`);
  const content = await readContent(files);
  const { expiresAt, receiptKey } = await box.answer(link, content, { receipt: options.receipt }).finally(bar.clear);
  if (options.json) await printResult(options, '', { expires_at: expiresAt, receipt_key: receiptKey });
  else hint(`Answered. The answer can be read until ${expiresAt}.`);
  if (receiptKey && !options.json) complain(forTerminal('Receipt key, to follow or burn it: ') + receiptKey);
  return EXIT.done;
}

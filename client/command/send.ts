import type { Sent } from '../hushbox.ts';
import { type Options, parseCopies, parseLifetime } from './arguments.ts';
import { type Context, printResult } from './context.ts';
import { EXIT, WrongUse } from './failure.ts';
import { readContent } from './input.ts';
import { complain, createBar } from './terminal.ts';

/** Prints a link for each copy, and nothing else, on stdout. */
export async function send(context: Context): Promise<number> {
  const { options, operands } = context;
  const copies = parseCopies(options.copies);
  const ttl = parseLifetime(options.ttl);
  if (options.plain && operands.some((operand) => operand !== '-')) throw new WrongUse('--plain is for text alone');
  const bar = createBar('Sending');
  let sent = 0;
  const box = context.openServer((fraction) => bar.show((sent + fraction) / copies));
  const ask = async () => (options.phrase ? context.askPhrase('Phrase for this secret') : undefined);
  // Stdin may never end: where the phrase can come from nowhere, this says so before. A person types the secret first.
  const early = process.stdin.isTTY ? undefined : await ask();
  const content = await readContent(operands);
  const phrase = early ?? (await ask());
  const { receipt, notify, plain } = options;
  for (; sent < copies; sent++) {
    const made = await box.send(content, { phrase, ttl, receipt, notify, plain }).finally(bar.clear);
    await printSent(options, made);
  }
  return EXIT.done;
}

async function printSent(options: Options, { link, expiresAt, receiptKey, webhookSecret }: Sent): Promise<void> {
  const members = { link, expires_at: expiresAt, receipt_key: receiptKey, webhook_secret: webhookSecret };
  await printResult(options, link, members);
  if (options.json) return;
  if (receiptKey) complain(forTerminal('Receipt key, to follow or burn it: ') + receiptKey);
  if (webhookSecret) complain(forTerminal('Webhook secret, to verify calls with: ') + webhookSecret);
}

/** Scripts get the value alone. */
export function forTerminal(label: string): string {
  return process.stderr.isTTY ? label : '';
}

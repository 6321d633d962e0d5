import type { Outcome } from '../outbox/outcome.ts';

/** What is known of a failure that reveals nothing: what a server says may quote addresses, and is not kept. */
export type MailFailure = {
  /** Of the library, e.g. `ECONNECTION`. */
  code: string | undefined;
  /** The command that was answered with `status`, e.g. `RCPT TO`. */
  command: string | undefined;
  status: number | undefined;
};

/** Commands that are about the one message; the others are about the server, and the next message would fail as well. */
const OF_THE_MESSAGE: ReadonlySet<string | undefined> = new Set(['RCPT TO', 'DATA']);
/** "No such mailbox, user not local, name not allowed" (RFC 5321 §4.2.3), where no enhanced code says more. */
const NO_MAILBOX: ReadonlySet<number | undefined> = new Set([550, 551, 553]);
/** "Service not available, closing": whatever it answers, it is about the server. */
const CLOSING = 421;
/** RFC 3463: 5.1 is about addresses, 5.2 about mailboxes, 5.6 about the content, but 5.1.7 and 5.1.8 are about the address of the sender. */
const ENHANCED = /^5\d\d[ -](5\.(\d{1,3})\.(\d{1,3}))(?:\s|$)/;

/**
 * A refusal of this recipient for good ends a mail. All else is tried again: a server that is away, busy or broken, and
 * permanent failures that mean our credentials or the server's rules (5.7), which an operator can put right.
 */
export function judgeFailure(error: unknown): { outcome: Outcome; failure: MailFailure } {
  const { code, command, responseCode, response } = error as Readonly<Record<string, unknown>>;
  const failure = {
    code: wordOf(code),
    command: wordOf(command),
    status: typeof responseCode === 'number' ? responseCode : undefined,
  };
  return { outcome: { result: resultOf(failure, typeof response === 'string' ? response : '') }, failure };
}

function resultOf({ command, status }: MailFailure, response: string): Outcome['result'] {
  if (status === undefined || status === CLOSING || !OF_THE_MESSAGE.has(command)) return 'unreachable';
  return isForGood(status, response) ? 'gone' : 'refused';
}

function isForGood(status: number, response: string): boolean {
  if (status < 500) return false;
  const [, enhanced, subject, detail] = ENHANCED.exec(response) ?? [];
  if (enhanced === undefined) return NO_MAILBOX.has(status);
  return subject === '2' || subject === '6' || (subject === '1' && detail !== '7' && detail !== '8');
}

/** The library's own words alone. */
function wordOf(value: unknown): string | undefined {
  return typeof value === 'string' && /^[A-Z][A-Z0-9 _-]{0,39}$/.test(value) ? value : undefined;
}

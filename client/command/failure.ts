/** What a command exits with. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  gone: 3,
  phrase: 4,
  unavailable: 5,
  notAnswered: 6,
  /** As shells have it. */
  notExecutable: 126,
  noCommand: 127,
  signal: 128,
} as const;

/** Ends the command. The message is a sentence for people. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly exit: number;
  constructor(exit: number, message: string) {
    super(message);
    this.exit = exit;
  }
}

/** A wrong use of the command: its help says how. */
export class WrongUse extends Failure {
  constructor(message: string) {
    super(EXIT.usage, message);
  }
}

const EXIT_OF_CODE: Readonly<Record<string, number>> = {
  INVALID_REQUEST: EXIT.usage,
  SPOILT_LINK: EXIT.usage,
  KEY_NOT_FOUND: EXIT.gone,
  NOT_WAITING: EXIT.gone,
  PHRASE_REQUIRED: EXIT.phrase,
  WRONG_PHRASE: EXIT.phrase,
  TOO_MANY_TRIES: EXIT.phrase,
  UNREACHABLE: EXIT.unavailable,
  CUT_OFF: EXIT.unavailable,
  REQUEST_TIMEOUT: EXIT.unavailable,
  NOT_ANSWERED: EXIT.notAnswered,
};

/** What the library says of a failure: a `HushboxError`. */
type Coded = Error & { code: string; status?: number; retryAfterSeconds?: number; triesLeft?: number };

export function isCoded(error: unknown): error is Coded {
  return error instanceof Error && error.name === 'HushboxError';
}

/** Of a full or busy server, every status says so. */
export function exitOf(error: unknown): number {
  if (error instanceof Failure) return error.exit;
  if (!isCoded(error)) return EXIT.failed;
  const { code, status = 0 } = error;
  return EXIT_OF_CODE[code] ?? (status === 429 || status > 500 ? EXIT.unavailable : EXIT.failed);
}

const ADVICE: Readonly<Record<string, string>> = {
  KEY_NOT_FOUND: 'There is nothing here: it was read, burned or withdrawn, has expired, or never existed.',
  NOT_ANSWERED: 'Nobody has answered this request yet.',
  PHRASE_REQUIRED: 'This secret needs a phrase.',
  UNAUTHORIZED: 'This server lets only those create who have its token: set HUSHBOX_TOKEN.',
  UNTRUSTED: 'The answer is not what the link promises. Nothing of it is shown.',
  CUT_OFF:
    'The connection broke, and no repeat was answered. If a secret was read, it is gone; if one was sent, it may have arrived.',
};

/** A sentence for people. It quotes no link and no secret. */
export function describe(error: unknown): string {
  if (!isCoded(error)) return error instanceof Error ? messageOf(error) : 'an unknown failure';
  const { code, message, triesLeft, retryAfterSeconds } = error;
  const isRedirect = code === 'UNTRUSTED' && message.includes('redirect');
  const sentence = isRedirect ? 'The server redirects. Redirects are not followed.' : (ADVICE[code] ?? message);
  const ended = /[.!?)]$/.test(sentence) ? sentence : `${sentence}.`;
  const tries = triesLeft === undefined ? '' : ` Tries left: ${Number(triesLeft)}.`;
  const later = retryAfterSeconds ? ` Try again in ${retryAfterSeconds} s.` : '';
  return ended + tries + later;
}

/** Errors of the system quote the path, which the command names in its own words where it helps. */
function messageOf(error: Error): string {
  return error instanceof Failure ? error.message : systemCode(error);
}

export function systemCode(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).name;
}

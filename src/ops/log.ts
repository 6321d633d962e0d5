import pino, { type DestinationStream, type Logger } from 'pino';

export type Log = Logger;

/**
 * JSON lines. Of a request only values from closed sets are logged (method, route pattern, status), because a path carries
 * a key and a body a secret.
 * @param destination default: stderr, written synchronously, so that the last lines before a crash are not lost.
 */
export function createLog(level: string, destination: DestinationStream = openStderr()): Log {
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error: unknown) => describeError(error) },
      hooks: {
        logMethod(args, method) {
          const [values, message] = args as [unknown, unknown];
          const { err } = (typeof values === 'object' && values !== null ? values : {}) as { err?: unknown };
          if (err instanceof Error && typeof message === 'string')
            method.call(this, values, `${message}: ${reasonOf(err)}`);
          else method.apply(this, args);
        },
      },
    },
    destination,
  );
}

const MAX_CAUSES = 10;
const MAX_REASON_LENGTH = 300;

/** What went wrong in the first place: the first line of the innermost cause. A person reads this, not the stack. */
export function reasonOf(error: Error): string {
  let innermost = error;
  for (let depth = 0; depth < MAX_CAUSES; depth++) {
    const { cause, errors } = innermost as { cause?: unknown; errors?: unknown };
    const next = cause ?? (Array.isArray(errors) ? errors[0] : undefined); // of all addresses of a host, the first
    if (!(next instanceof Error)) break;
    innermost = next;
  }
  const [line = ''] = innermost.message.split('\n');
  return line.slice(0, MAX_REASON_LENGTH) || innermost.name;
}

/** How far a reader of stderr may fall behind; further lines are dropped. */
const MAX_UNWRITTEN_BYTES = 1024 * 1024;

/** A log that cannot be written (slow reader, closed terminal) must not delay or end the service. */
function openStderr(): DestinationStream {
  const options = { fd: 2, sync: true, maxLength: MAX_UNWRITTEN_BYTES, retryEAGAIN: () => false };
  return pino.destination(options).on('error', () => {}); // unwritten text is tried again with the next line
}

type ErrorDescription = { type: string; message: string; code?: unknown; stack?: string; cause?: ErrorDescription };

/** An error without the properties that libraries add to it, because they can hold what a client sent. */
export function describeError(error: unknown, depth = 0): ErrorDescription {
  if (!(error instanceof Error)) return { type: typeof error, message: 'not an Error' };
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    message: error.message,
    ...(code !== undefined && { code }),
    ...(error.stack && { stack: error.stack }),
    ...(error.cause !== undefined && depth < MAX_CAUSES && { cause: describeError(error.cause, depth + 1) }),
  };
}

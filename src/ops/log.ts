import pino, { type DestinationStream, type Logger } from 'pino';

export type Log = Logger;

/**
 * JSON lines. Nothing that comes from a client is passed in but what has a closed set of values (method, route
 * pattern, status): a path carries a key, a body a secret.
 * @param destination default: stderr, written synchronously, so that the last lines before a crash are not lost.
 */
export function createLog(level: string, destination: DestinationStream = openStderr()): Log {
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
    },
    destination,
  );
}

/** Lines a reader of stderr may be behind; beyond that they are dropped. */
const MAX_UNWRITTEN_BYTES = 1024 * 1024;

/** A log that cannot be written, since its reader is slow or its terminal gone, must not hold or end the service. */
function openStderr(): DestinationStream {
  const options = { fd: 2, sync: true, maxLength: MAX_UNWRITTEN_BYTES, retryEAGAIN: () => false };
  return pino.destination(options).on('error', () => {}); // what is unwritten is tried again with the next line
}

type ErrorDescription = { type: string; message: string; code?: unknown; stack?: string; cause?: ErrorDescription };

/** An error without the properties that libraries hang on it: those can hold what a client sent. */
export function describeError(error: unknown): ErrorDescription {
  if (!(error instanceof Error)) return { type: typeof error, message: 'not an Error' };
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    message: error.message,
    ...(code !== undefined && { code }),
    ...(error.stack && { stack: error.stack }),
    ...(error.cause !== undefined && { cause: describeError(error.cause) }),
  };
}

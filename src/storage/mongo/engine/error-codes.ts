import { MongoServerError, MongoWriteConcernError } from 'mongodb';

/** Error codes of MongoDB that are expected in some places. */
export const DUPLICATE_KEY = 11_000;
export const NAMESPACE_NOT_FOUND = 26;

/** Whether an error has this code, whatever its class. */
export function hasCode(error: unknown, code: number): boolean {
  return (error as { code?: unknown }).code === code;
}

/** The server refused it. After any other failure, such as a broken connection, the outcome is unknown. */
export function isDefinitelyNotWritten(error: unknown): boolean {
  const isRefusal = error instanceof MongoServerError && !(error instanceof MongoWriteConcernError);
  return isRefusal && !error.hasErrorLabel('RetryableWriteError');
}

import { MongoServerError } from 'mongodb';
import { AppError } from '../../../errors.ts';
import { isDefinitelyNotWritten } from './error-codes.ts';

/** Beyond this many unanswered calls new ones are refused: the server does not keep up. */
const MAX_UNANSWERED = 10_000;

type Verb = (...values: never[]) => Promise<unknown>;

/**
 * The same verbs, with every failure as AppError STORAGE_UNAVAILABLE. A write that failed may have taken place or not: no
 * caller may take it for done.
 * @param options.writeOnce no verb writes after its first write: then a refusal says that nothing was written.
 */
export function translateFailures<Verbs extends Record<string, Verb>>(verbs: Verbs, { writeOnce = false } = {}): Verbs {
  let unanswered = 0;
  const translate =
    (verb: Verb): Verb =>
    async (...values) => {
      if (unanswered >= MAX_UNANSWERED) throw unavailable(new Error('too many calls are waiting for MongoDB'));
      unanswered += 1;
      try {
        return await verb(...values);
      } catch (error) {
        throw unavailable(withoutData(error), writeOnce && isDefinitelyNotWritten(error));
      } finally {
        unanswered -= 1;
      }
    };
  return Object.fromEntries(Object.entries(verbs).map(([name, verb]) => [name, translate(verb)])) as Verbs;
}

/** A server's message can quote a document, and the cause goes to the log: the code is enough. */
function withoutData(error: unknown): unknown {
  return error instanceof MongoServerError ? new Error(`${error.name}: MongoDB error ${error.code}`) : error;
}

function unavailable(cause: unknown, isNotWritten = false): AppError {
  return new AppError('STORAGE_UNAVAILABLE', { cause, retryAfterSeconds: 1, isNotWritten });
}

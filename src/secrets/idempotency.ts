import type { IncomingMessage } from 'node:http';
import { AppError } from '../errors.ts';
import { IDEMPOTENCY_KEY } from './schemas.ts';

/** @throws AppError INVALID_REQUEST for a malformed header, or two. */
export function idempotencyKeyOf(request: IncomingMessage): string | undefined {
  if (request.headers['idempotency-key'] === undefined) return undefined;
  // If the header was sent twice, Node joins both with a comma.
  const values = request.headersDistinct['idempotency-key'] as string[];
  if (values.length === 1 && IDEMPOTENCY_KEY.test(values[0] as string)) return values[0] as string;
  throw new AppError('INVALID_REQUEST', {
    detail: 'Idempotency-Key must be 22 to 128 printable ASCII characters, once',
  });
}

import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { AppError } from '../errors.ts';

/** A body over the limit is still read up to here and dropped, so that a client that sends everything first gets its 413. */
const DRAIN_BYTES = 16 * 1024 * 1024;

/**
 * Reads a JSON object, whatever its content type; an empty body is `{}`, and a leading byte order mark is ignored.
 * @throws AppError INVALID_REQUEST: not JSON, not an object, not UTF-8. TOO_LARGE. UNSUPPORTED_ENCODING.
 */
export async function readJsonObject(request: IncomingMessage, limitBytes: number): Promise<Record<string, unknown>> {
  const encoding = request.headers['content-encoding']?.toLowerCase();
  if (encoding && encoding !== 'identity') throw new AppError('UNSUPPORTED_ENCODING');
  const bytes = await readBytes(request, limitBytes);
  if (!isUtf8(bytes)) throw new AppError('INVALID_REQUEST', { detail: 'The body is not valid UTF-8' });
  const text = bytes.toString().replace(/^\ufeff/, ''); // the byte order mark that some Windows tools write
  if (text === '') return {};
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AppError('INVALID_REQUEST', { detail: 'The body must be a JSON object' });
  }
  return value as Record<string, unknown>;
}

/**
 * Reads and drops a body, so that a client that sends everything first gets its answer.
 * @throws AppError TOO_LARGE; INVALID_REQUEST when it breaks off.
 */
export async function dropBody(request: IncomingMessage, limitBytes = DRAIN_BYTES): Promise<void> {
  await readBytes(request, 0, limitBytes);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No cause: the parser's message quotes the client.
    throw new AppError('INVALID_REQUEST', {
      detail: 'The body is not valid JSON: send a JSON object, such as {"name": "value"}',
    });
  }
}

/** @param keptBytes a longer body is read up to the limit, and nothing of it is kept. */
function readBytes(request: IncomingMessage, keptBytes: number, limitBytes = keptBytes): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let received = 0;
    request.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received <= keptBytes) chunks.push(chunk);
      else {
        chunks.length = 0;
        if (received > Math.max(DRAIN_BYTES, limitBytes)) refuse();
      }
    });
    request.on('end', () => {
      if (received > limitBytes) refuse();
      else resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    });
    request.on('error', breakOff);
    request.on('close', () => {
      if (!request.complete) breakOff();
    });
    // The client is gone, so a code of its own would be of no use.
    function breakOff(): void {
      reject(new AppError('INVALID_REQUEST', { detail: 'The request ended before its body was complete' }));
    }
    function refuse(): void {
      reject(new AppError('TOO_LARGE', { detail: `The body is larger than ${limitBytes} bytes` }));
    }
  });
}

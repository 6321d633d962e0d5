import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { AppError } from '../errors.ts';
import { parseObject, readBody, withoutMark } from './body.ts';

const MULTIPART = 'multipart/form-data';
const URL_ENCODED = 'application/x-www-form-urlencoded';
export const FORM_TYPES = [URL_ENCODED, MULTIPART] as const;

/**
 * Reads what a form sends, as well as JSON: the members of a JSON object, or the fields of a form, which are all text. A
 * body that begins with `{` is JSON whatever its type says: of a multipart one the first character is a hyphen.
 * @throws AppError as `readJsonObject`; INVALID_REQUEST also for files, and for a field that is there twice.
 */
export async function readFields(request: IncomingMessage, limitBytes: number): Promise<Record<string, unknown>> {
  const bytes = withoutMark(await readBody(request, limitBytes));
  const type = request.headers['content-type'] ?? '';
  const [kind = ''] = type.split(';');
  const form = FORM_TYPES.find((one) => one === kind.trim().toLowerCase());
  if (!form || /^\s*(?:\{|$)/.test(bytes.toString('utf8', 0, 64))) return parseObject(bytes);
  if (!isUtf8(bytes) || (form === URL_ENCODED && !isUtf8Encoded(bytes.toString()))) {
    throw new AppError('INVALID_REQUEST', { detail: 'The body is not valid UTF-8' });
  }
  return fieldsOf(await parseForm(bytes, type));
}

/** Whether what is written as octets is UTF-8: the parser would put other characters in their place. */
function isUtf8Encoded(text: string): boolean {
  const runs = text.match(/(?:%[0-9a-f]{2})+/gi) ?? [];
  return runs.every((run) => isUtf8(Buffer.from(run.replaceAll('%', ''), 'hex')));
}

/** By Node's own parser of the Fetch standard ("Body.formData"): in memory, and without files on the disk. */
async function parseForm(bytes: Buffer, type: string): Promise<FormData> {
  try {
    return await new Response(new Uint8Array(bytes), { headers: { 'content-type': type } }).formData();
  } catch {
    // No cause: the parser's message can quote the client.
    throw new AppError('INVALID_REQUEST', { detail: 'The body is not a valid form' });
  }
}

function fieldsOf(form: FormData): Record<string, unknown> {
  const fields = new Map<string, string>();
  for (const [name, value] of form) {
    if (typeof value !== 'string') throw new AppError('INVALID_REQUEST', { detail: 'The form must not have files' });
    if (fields.has(name)) throw new AppError('INVALID_REQUEST', { detail: 'The form has a field more than once' });
    fields.set(name, value);
  }
  return Object.fromEntries(fields);
}

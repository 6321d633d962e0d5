import type { Destination } from './destination.ts';
import type { EgressRequest } from './request.ts';

/** RFC 9110 §5.6.2 and §5.5. */
const NAME = /^[!#$%&'*+.^_`|~\w-]+$/;
const NOT_IN_VALUES = /[^\t\x20-\x7e\x80-\xff]/;
/** They belong to the connection. */
const OURS: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

/** `lengthBytes`: of the body; undefined if it is sent in chunks. */
export type RequestHead = { text: string; lengthBytes: number | undefined };

/** @throws TypeError for a header that cannot be sent, or that is not the caller's to say. */
export function formatHead({ method, headers, body, expectsContinue }: EgressRequest, to: Destination): RequestHead {
  const isStream = !(body instanceof Uint8Array);
  let lengthBytes = isStream ? undefined : body.length;
  let text = `${method} ${to.path} HTTP/1.1\r\nhost: ${to.origin.slice(to.origin.indexOf('//') + 2)}\r\nconnection: keep-alive\r\n`;
  for (let index = 0; index < headers.length; index += 2) {
    const [name = '', value = ''] = [headers[index], headers[index + 1]];
    const small = name.toLowerCase();
    if (!NAME.test(name) || NOT_IN_VALUES.test(value) || OURS.has(small)) {
      throw new TypeError('a header that cannot be sent');
    }
    if (small !== 'content-length') text += `${name}: ${value}\r\n`;
    else if (isStream) lengthBytes = Number(value);
  }
  if (Number.isNaN(lengthBytes)) throw new TypeError('a length that is no number');
  if (isStream && expectsContinue) text += 'expect: 100-continue\r\n';
  text += lengthBytes === undefined ? 'transfer-encoding: chunked\r\n\r\n' : `content-length: ${lengthBytes}\r\n\r\n`;
  return { text, lengthBytes };
}

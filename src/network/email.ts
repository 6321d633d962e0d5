import { domainToASCII } from 'node:url';

/** RFC 5321 §4.5.3.1: a path of 256 characters, with its brackets. */
const MAX_LENGTH = 254;
const LOCAL_MAX_LENGTH = 64;
/** RFC 5322 §3.2.3, "dot-atom-text". */
const DOT_ATOM = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/;
/** What no domain has, but a parser of URLs would take for something else. */
const NO_DOMAIN = /[\0- %/\\?#@:[\]<>^|\x7f]/;
const LABELS = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * The one form of an email address: in small letters, the domain in ASCII. Addresses are compared in this form.
 * @returns undefined for text that is no address, and for addresses with quotes or an IP address in them.
 */
export function parseEmail(text: string): string | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const at = text.lastIndexOf('@');
  const [local, domain] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
  if (local.length > LOCAL_MAX_LENGTH || !DOT_ATOM.test(local) || NO_DOMAIN.test(domain)) return undefined;
  const ascii = domainToASCII(domain).toLowerCase();
  // A parser of URLs writes 1, 0x7f.1 and 127.0.0.1 as an IP address: no name ends in a label of digits.
  if (!LABELS.test(ascii) || /(?:^|\.)\d+$/.test(ascii)) return undefined;
  const email = `${local.toLowerCase()}@${ascii}`;
  return email.length > MAX_LENGTH ? undefined : email;
}

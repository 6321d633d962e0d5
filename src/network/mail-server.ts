import { parseEmail } from './email.ts';

export type SmtpServer = {
  host: string;
  port: number;
  /** TLS from the first byte. */
  isSecure: boolean;
  auth: { user: string; password: string } | undefined;
};

export type MailAddress = { name: string; address: string };

const PORTS = { 'smtp:': 25, 'smtps:': 465 } as const;
/** RFC 5321 §4.5.3.1.4 allows 512 bytes a line, base64 included. */
const CREDENTIAL = /^\P{C}{1,256}$/u;
const HOST = /^(?:[\w-]+(?:\.[\w-]+)*\.?|\[[\da-f:.]+\])$/i;
const NAMED = /^(?:"(?<quoted>[^"\\]*)"|(?<plain>[^<>"\\]*?))\s*<(?<address>[^<>]*)>$/;

/** `smtp://` or `smtps://`, with or without `user:password@`; the credentials percent-encoded. */
export function parseSmtpUrl(text: string): SmtpServer | undefined {
  const url = /^smtps?:\/\/[^\s/?#]+\/?$/i.test(text) ? URL.parse(text) : null;
  if (!url || !HOST.test(url.hostname) || url.port === '0') return undefined;
  const { protocol, hostname, port, username, password } = url;
  const auth = username === '' && password === '' ? undefined : decodeAll(username, password);
  if (auth && !auth.every((part) => CREDENTIAL.test(part))) return undefined;
  const [user, secret] = auth ?? [];
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || PORTS[protocol as keyof typeof PORTS]),
    isSecure: protocol === 'smtps:',
    auth: user === undefined || secret === undefined ? undefined : { user, password: secret },
  };
}

function decodeAll(...parts: readonly string[]): string[] {
  try {
    return parts.map(decodeURIComponent);
  } catch {
    return [''];
  }
}

/** An address alone, or `Name <address>`. */
export function parseMailAddress(text: string): MailAddress | undefined {
  const { quoted, plain, address = text.trim() } = NAMED.exec(text.trim())?.groups ?? {};
  const parsed = parseEmail(address);
  const name = (quoted ?? plain ?? '').trim();
  return parsed === undefined || !/^\P{C}{0,128}$/u.test(name) ? undefined : { name, address: parsed };
}

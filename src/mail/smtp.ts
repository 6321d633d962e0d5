import { createTransport } from 'nodemailer';
import type { MailAddress, SmtpServer } from '../network/mail-server.ts';
import type { Composed } from './compose.ts';

/** Of connecting: the look-up of the name, every address, and the greeting. */
const CONNECT_MS = 10_000;
/** Between two signs of life. A server may look for long at a message before it accepts it: what it accepts later is sent twice. */
const SILENT_MS = 30_000;
/** Names and addresses of this machine, where nobody listens in between. */
const LOOPBACK = /^(?:localhost|::1|127(?:\.\d{1,3}){3})$/i;

export type Message = Composed & {
  /** The same at every attempt, so that whoever gets a mail twice can notice. */
  id: string;
  to: string;
  date: Date;
};

/** Gives one message to the mail server. Resolves once the server has accepted it. @throws what `judgeFailure` judges. */
export type SendMessage = (message: Message, signal: AbortSignal) => Promise<void>;

/**
 * A connection for each message. TLS by smtps, or by STARTTLS where the server offers it. A password goes to another
 * machine only through TLS with a good certificate. Elsewhere the certificate does not count: whoever can show another
 * one can as well hide that STARTTLS is offered (RFC 7435).
 */
export function createSmtp({ host, port, isSecure, auth }: SmtpServer, from: MailAddress): SendMessage {
  const mustBeSafe = isSecure || (auth !== undefined && !LOOPBACK.test(host));
  const domain = from.address.slice(from.address.lastIndexOf('@') + 1);
  const transport = createTransport({
    ...{ host, port, secure: isSecure, requireTLS: mustBeSafe && !isSecure, opportunisticTLS: !mustBeSafe },
    ...(auth && { auth: { user: auth.user, pass: auth.password } }),
    name: domain,
    tls: { rejectUnauthorized: mustBeSafe },
    ...{ connectionTimeout: CONNECT_MS, greetingTimeout: CONNECT_MS, socketTimeout: SILENT_MS },
    ...{ disableFileAccess: true, disableUrlAccess: true },
  });
  return async ({ id, to, date, subject, text, html }, signal) => {
    await transport.sendMail({
      // As objects, so that nothing in them is taken for a list or a comment.
      ...{ from, to: { name: '', address: to }, envelope: { from: from.address, to: [to] } },
      ...{ subject, text, html, date, messageId: `<${id}@${domain}>` },
      headers: { 'Auto-Submitted': 'auto-generated' },
      signal,
    });
  };
}

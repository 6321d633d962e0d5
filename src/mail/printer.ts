import type { Mailer } from './mailer.ts';
import { refuseUnfit } from './outbox.ts';

/** Without a mail server, in development: hands the link to the person at the terminal. */
export function createPrinter(print: (line: string) => void): Mailer {
  return {
    async hold(mail) {
      refuseUnfit(mail);
      const { to, kind, values } = mail;
      return {
        release: () => print(`mail to ${to} (${kind}), not sent without SMTP_URL: ${values.link ?? 'it has no link'}`),
        drop: async () => {},
      };
    },
  };
}

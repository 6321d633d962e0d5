import type { MailKind } from '../mailer.ts';

/** The words of a mail. */
export type Text = {
  subject: string;
  /** Before the link, where there is one. */
  before: readonly string[];
  after: readonly string[];
};

/** All mails in one language. @param site the service as its users know it. */
export type Texts = (site: string) => Readonly<Record<MailKind, Text>>;

/** What a mail is about; the texts of each are in texts.ts. */
export type MailKind =
  | 'activate'
  | 'already_registered'
  | 'reset'
  | 'change_email'
  | 'password_changed'
  | 'email_changed'
  | 'account_deleted';

export type MailLanguage = 'en' | 'ru';

export type Mail = {
  readonly to: string;
  readonly kind: MailKind;
  readonly language: MailLanguage;
  /** Parts of the text, e.g. `link`. */
  readonly values: Readonly<Record<string, string>>;
};

export type HeldMail = {
  /** Lets the mail go. It is delivered from memory at once, or by the poll. */
  release(): void;
  /** Removes the mail: what it tells of did not happen. */
  drop(): Promise<void>;
};

export type Mailer = {
  /**
   * Writes a mail into the outbox, durably, and holds it: it is not sent before `release`, or before the
   * hold ends because this process died. Throws AppError STORAGE_FULL or STORAGE_UNAVAILABLE.
   */
  hold(mail: Mail): Promise<HeldMail>;
};

/** What a mail is about; the words of each are in texts/. */
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
  /** In the form of `parseEmail`. */
  readonly to: string;
  readonly kind: MailKind;
  readonly language: MailLanguage;
  /** Parts of the text. `link`, where there is one, is an http or https URL. */
  readonly values: Readonly<Record<string, string>>;
};

export type HeldMail = {
  /** Lets the mail go: it is delivered now or, if there is no room for it in this worker, when its hold ends. */
  release(): void;
  /** Removes the mail: what it reports did not happen. */
  drop(): Promise<void>;
};

export type Mailer = {
  /**
   * Writes a mail into the outbox, durably, and holds it: it is not sent before `release`, or before the hold ends
   * because this process died.
   * @throws AppError STORAGE_FULL, STORAGE_UNAVAILABLE; TypeError for an address or a value that is in no form to be sent.
   */
  hold(mail: Mail): Promise<HeldMail>;
};

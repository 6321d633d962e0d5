/** What an operator may have to account for. Registrations of an address that has an account count too. */
export type AccountEvent =
  | { type: 'registered' }
  | { type: 'activated' | 'password_reset' | 'password_changed' | 'email_changed' | 'deleted'; accountId: string };

export type OnAccountEvent = (event: AccountEvent, requestId?: string) => void;

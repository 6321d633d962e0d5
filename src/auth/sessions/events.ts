/** What an operator may have to account for. The ids open nothing. */
export type SessionEvent =
  | { type: 'created'; accountId: string; sessionId: string }
  /** A log-in that was refused. @param accountId of the account, if there is one with this address. */
  | { type: 'refused'; accountId: string | undefined }
  /** A log-in that a limit refused, before its password was looked at. */
  | { type: 'limited' }
  | { type: 'ended'; accountId: string; sessionId: string }
  /** @param sessionId of the one that stays. */
  | { type: 'others_ended'; accountId: string; sessionId: string }
  | { type: 'replayed'; accountId: string; sessionId: string }
  /** A refresh token was used again, too late. */
  | { type: 'refresh_reused'; accountId: string; sessionId: string };

export type OnSessionEvent = (event: SessionEvent, requestId?: string) => void;

import type { Log } from './log.ts';

/** Events that an operator may have to account for. */
export type AuditEvent =
  | 'account.activated'
  | 'account.deleted'
  | 'account.registered'
  | 'customer.created'
  | 'customer.deleted'
  | 'customer.updated'
  | 'email.changed'
  | 'fence.lifted'
  | 'login.refused'
  | 'mail.given_up'
  | 'password.changed'
  | 'password.reset'
  | 'request.withdrawn'
  | 'secret.burned'
  | 'secret.tries_exhausted'
  | 'session.created'
  | 'session.ended'
  | 'session.others_ended'
  | 'session.refresh_reused'
  | 'session.replay_detected'
  | 'webhook.given_up';

/** Ids that open nothing. An account's address is in no line. */
export type AuditSubject = { account?: string | undefined; session?: string | undefined; customer?: string };

/**
 * Writes audit events, one line each, at every level of the log except `silent`. A line names the request, not the secret:
 * otherwise anyone with a link could find in the log what became of the secret, and when.
 */
export function createAudit(log: Log): (event: AuditEvent, requestId?: string, subject?: AuditSubject) => void {
  const audit = log.child({}, { level: log.level === 'silent' ? 'silent' : 'info' });
  return (event, requestId, subject) => audit.info({ audit: event, requestId, ...subject });
}

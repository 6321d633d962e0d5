import type { Log } from './log.ts';

/** Events that an operator may have to account for. */
export type AuditEvent = 'fence.lifted' | 'secret.burned' | 'secret.tries_exhausted' | 'webhook.given_up';

/**
 * Writes audit events, one line each, at every level of the log except `silent`. A line names the request, not the secret:
 * otherwise anyone with a link could find in the log what became of the secret, and when.
 */
export function createAudit(log: Log): (event: AuditEvent, requestId?: string) => void {
  const audit = log.child({}, { level: log.level === 'silent' ? 'silent' : 'info' });
  return (event, requestId) => audit.info({ audit: event, requestId });
}

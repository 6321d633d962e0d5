import type { Log } from './log.ts';

/** What somebody who looks after the service may have to account for. */
export type AuditEvent = 'secret.burned' | 'secret.tries_exhausted' | 'webhook.given_up';

/**
 * Writes audit events, one line each, whatever the level of the log but `silent`. A line names the request, not the
 * secret: whoever has a link could otherwise tell from the log what became of it, and when.
 */
export function createAudit(log: Log): (event: AuditEvent, requestId?: string) => void {
  const audit = log.child({}, { level: log.level === 'silent' ? 'silent' : 'info' });
  return (event, requestId) => audit.info({ audit: event, requestId });
}

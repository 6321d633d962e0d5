import type { AccountEvent, OnAccountEvent } from '../../auth/accounts/events.ts';
import type { OnSessionEvent, SessionEvent } from '../../auth/sessions/events.ts';
import { AUTH_OUTCOMES, type AuthOutcome } from '../../business/auth-client.ts';
import { type Change, CUSTOMER_EVENTS, type CustomerEvent } from '../../business/customers.ts';
import type { ErrorCode } from '../../errors.ts';
import type { RequestLog } from '../../http/respond.ts';
import type { MailFailure } from '../../mail/verdict.ts';
import { type AuditEvent, createAudit } from '../../ops/audit.ts';
import { createFailureLog } from '../../ops/failure-log.ts';
import type { Log } from '../../ops/log.ts';
import { measureRefusal, measureRequest } from '../../ops/metrics/measure.ts';
import type { Meters } from '../../ops/metrics/meters.ts';
import { DELIVERY_RESULTS, type DeliveryResult } from '../../outbox/settle.ts';
import type { SecretEvent } from '../../secrets/secrets.ts';

/** Counts, logs and audits the work of a service. */
export type Telemetry = {
  requestLog: RequestLog;
  /** For the internal listener, whose requests are not counted. */
  internalRequestLog: RequestLog;
  refused(code: ErrorCode): void;
  secretEvent(event: SecretEvent, requestId?: string): void;
  customerEvent(event: CustomerEvent, customerId: string, change: Change): void;
  /** @param ms how long a question about a token took; undefined for one that was asked once more. */
  authCall(outcome: AuthOutcome, ms?: number): void;
  sessionEvent: OnSessionEvent;
  accountEvent: OnAccountEvent;
  /** @param ageMs of the event. */
  webhookResult(result: DeliveryResult, ageMs: number): void;
  /** @param ageMs of the mail; undefined for one that was swept. */
  mailResult(result: DeliveryResult, ageMs?: number): void;
  mailFailure(failure: MailFailure): void;
};

const COUNTER_OF = {
  created: 'hushbox_secrets_created_total',
  read: 'hushbox_secrets_read_total',
  reread: 'hushbox_secrets_reread_total',
  burned: 'hushbox_secrets_burned_total',
  requested: 'hushbox_secret_requests_created_total',
  answered: 'hushbox_secret_requests_answered_total',
  withdrawn: 'hushbox_secret_requests_withdrawn_total',
  wrong_try: 'hushbox_wrong_tries_total',
  tries_exhausted: 'hushbox_exhausted_tries_total',
} as const satisfies Record<SecretEvent, unknown>;

/** Mail goes only to our own server, so no address is forbidden. */
const MAIL_RESULTS = DELIVERY_RESULTS.filter((result) => result !== 'forbidden');

type SessionEventType = SessionEvent['type'];

/** What is counted of an event of sessions: a family and its label. */
const SESSION_COUNTS = {
  created: ['hushbox_logins_total', 'succeeded'],
  refused: ['hushbox_logins_total', 'refused'],
  limited: ['hushbox_logins_total', 'limited'],
  ended: ['hushbox_session_ends_total', 'ended'],
  others_ended: ['hushbox_session_ends_total', 'others_ended'],
  replayed: ['hushbox_session_ends_total', 'replayed'],
  refresh_reused: ['hushbox_session_ends_total', 'refresh_reused'],
} as const satisfies Record<SessionEventType, unknown>;

/** `limited` is none: whoever floods the log-in would fill the log. */
const SESSION_AUDITS: Readonly<Partial<Record<SessionEventType, AuditEvent>>> = {
  created: 'session.created',
  refused: 'login.refused',
  ended: 'session.ended',
  others_ended: 'session.others_ended',
  replayed: 'session.replay_detected',
  refresh_reused: 'session.refresh_reused',
};

const ACCOUNT_AUDITS: Readonly<Record<AccountEvent['type'], AuditEvent>> = {
  registered: 'account.registered',
  activated: 'account.activated',
  password_reset: 'password.reset',
  password_changed: 'password.changed',
  email_changed: 'email.changed',
  deleted: 'account.deleted',
};

export function createTelemetry(meters: Meters, log: Log, isStarting: () => boolean): Telemetry {
  const audit = createAudit(log);
  for (const outcome of AUTH_OUTCOMES) meters.count('hushbox_auth_calls_total', outcome, 0);
  for (const event of CUSTOMER_EVENTS) meters.count('hushbox_customers_changed_total', event, 0);
  for (const result of DELIVERY_RESULTS) meters.count('hushbox_webhook_results_total', result, 0);
  for (const result of MAIL_RESULTS) meters.count('hushbox_mail_results_total', result, 0);
  for (const [family, label] of Object.values(SESSION_COUNTS)) meters.count(family, label, 0);
  for (const type of Object.keys(ACCOUNT_AUDITS)) meters.count('hushbox_account_events_total', type, 0);
  const common = {
    failed: createFailureLog(log, isStarting),
    broken: (err: unknown) => log.debug({ err }, 'connection broken'),
  };
  return {
    requestLog: {
      ...common,
      served(request) {
        measureRequest(meters, request);
        log.debug(request, 'request');
      },
    },
    internalRequestLog: { ...common, served: (request) => log.debug(request, 'internal request') },
    refused: (code) => measureRefusal(meters, code),
    secretEvent(event, requestId) {
      meters.count(COUNTER_OF[event]);
      if (event === 'burned' || event === 'tries_exhausted') audit(`secret.${event}`, requestId);
      if (event === 'withdrawn') audit('request.withdrawn', requestId);
    },
    customerEvent(event, customerId, { userId, requestId }) {
      meters.count('hushbox_customers_changed_total', event);
      audit(`customer.${event}`, requestId, { account: userId, customer: customerId });
    },
    authCall(outcome, ms) {
      meters.count('hushbox_auth_calls_total', outcome);
      if (ms !== undefined) meters.observe('hushbox_auth_call_duration_seconds', '', ms / 1000);
    },
    sessionEvent(event, requestId) {
      const [family, label] = SESSION_COUNTS[event.type];
      meters.count(family, label);
      const audited = SESSION_AUDITS[event.type];
      const { accountId: account, sessionId: session } = { accountId: undefined, sessionId: undefined, ...event };
      if (audited) audit(audited, requestId, { account, session });
    },
    accountEvent(event, requestId) {
      const { accountId: account } = { accountId: undefined, ...event };
      meters.count('hushbox_account_events_total', event.type);
      audit(ACCOUNT_AUDITS[event.type], requestId, { account });
    },
    webhookResult(result, ageMs) {
      meters.count('hushbox_webhook_results_total', result);
      if (result === 'delivered') meters.observe('hushbox_webhook_delay_seconds', '', Math.max(0, ageMs) / 1000);
      if (result === 'given_up') audit('webhook.given_up');
    },
    mailResult(result, ageMs) {
      meters.count('hushbox_mail_results_total', result);
      if (result === 'delivered') meters.observe('hushbox_mail_delay_seconds', '', Math.max(0, ageMs ?? 0) / 1000);
      if (result === 'given_up') audit('mail.given_up');
    },
    mailFailure: createMailFailureLog(log),
  };
}

/** How often a failure of the mail server is reported while it stays the same. */
const MAIL_REPORT_MS = 60_000;

/** An outage is a line a minute, not one for each attempt. */
function createMailFailureLog(log: Log): (failure: MailFailure) => void {
  let reported = { what: '', at: Number.NEGATIVE_INFINITY };
  return (failure) => {
    const what = JSON.stringify(failure);
    if (what === reported.what && performance.now() - reported.at < MAIL_REPORT_MS) return;
    reported = { what, at: performance.now() };
    log.warn({ mail: failure }, 'the mail server did not accept a mail');
  };
}

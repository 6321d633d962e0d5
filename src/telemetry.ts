import type { ErrorCode } from './errors.ts';
import type { RequestLog } from './http/respond.ts';
import { createAudit } from './ops/audit.ts';
import { createFailureLog } from './ops/failure-log.ts';
import type { Log } from './ops/log.ts';
import { measureRefusal, measureRequest } from './ops/measure.ts';
import type { Meters } from './ops/meters.ts';
import type { SecretEvent } from './secrets/secrets.ts';

/** Where the parts of a worker tell what they do: it is counted, logged and, where it has to be, audited. */
export type Telemetry = {
  requestLog: RequestLog;
  /** Of the internal listener, whose requests are not counted. */
  internalRequestLog: RequestLog;
  refused(code: ErrorCode): void;
  secretEvent(event: SecretEvent, requestId?: string): void;
};

const COUNTER_OF = {
  created: 'hushbox_secrets_created_total',
  read: 'hushbox_secrets_read_total',
  reread: 'hushbox_secrets_reread_total',
  burned: 'hushbox_secrets_burned_total',
  wrong_try: 'hushbox_wrong_tries_total',
  tries_exhausted: 'hushbox_exhausted_tries_total',
} as const satisfies Record<SecretEvent, unknown>;

/** @param onCounted told of each request that was counted. */
export function createTelemetry(meters: Meters, log: Log, onCounted: () => void = () => {}): Telemetry {
  const audit = createAudit(log);
  const common = {
    failed: createFailureLog(log),
    broken: (err: unknown) => log.debug({ err }, 'connection broken'),
  };
  return {
    requestLog: {
      ...common,
      served(request) {
        measureRequest(meters, request);
        onCounted();
        log.debug(request, 'request');
      },
    },
    internalRequestLog: { ...common, served: (request) => log.debug(request, 'internal request') },
    refused(code) {
      measureRefusal(meters, code);
      onCounted();
    },
    secretEvent(event, requestId) {
      meters.count(COUNTER_OF[event]);
      if (event === 'burned' || event === 'tries_exhausted') audit(`secret.${event}`, requestId);
    },
  };
}

import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Refusal } from '../limits/limits.ts';
import type { Notify, SecretStore } from './store.ts';

/** Decides which URLs may be notified. */
export type Notifier = {
  /** @throws AppError NOTIFY_FORBIDDEN, INVALID_REQUEST, DESTINATION_FORBIDDEN, DESTINATION_BUSY */
  check(url: string): Promise<void>;
  /** @returns what is stored with a new secret, and the secret that signs its events. */
  subscribe(url: string, key: { id: Uint8Array; text: string }): { notify: Notify; webhookSecret: string };
};

export type AdmissionParts = { store: Pick<SecretStore, 'admit'>; clock: Clock; notifier: Notifier };

/** Takes from the client's rate ahead of something that costs more than storing. @throws AppError as `refuseIf` does. */
export async function admit({ store, clock }: AdmissionParts, client: Uint8Array | undefined): Promise<void> {
  if (client) refuseIf(await store.admit(client, clock()));
}

/**
 * Asks for the rate first, because the look-up of an address costs more than storing.
 * @throws AppError as `refuseIf` and `Notifier.check` do.
 */
export async function admitNotify(
  parts: AdmissionParts,
  notify: string | undefined,
  client: Uint8Array | undefined,
): Promise<void> {
  if (notify === undefined) return;
  await admit(parts, client);
  await parts.notifier.check(notify);
}

const CODE_OF_REFUSAL = { rate: 'RATE_LIMITED', quota: 'QUOTA_EXCEEDED', full: 'STORAGE_FULL' } as const;

/** @throws AppError RATE_LIMITED, QUOTA_EXCEEDED, STORAGE_FULL */
export function refuseIf(refusal: Refusal | undefined): void {
  if (!refusal) return;
  throw new AppError(CODE_OF_REFUSAL[refusal.reason], {
    retryAfterSeconds: Math.ceil(refusal.retryAfterMs / 1000),
    ...(refusal.reason === 'rate' && { detail: 'Too many secrets created in a short time' }),
  });
}

import type { Egress } from '../egress/egress.ts';
import { AppError } from '../errors.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import { RULES } from './rules.ts';
import { createSubscription } from './sealed.ts';
import type { TakenEvent } from './store.ts';

export type WebhookParts = {
  ring: Pick<KeyRing, 'current'>;
  egress: Pick<Egress, 'check'>;
  /** Whether creators of secrets may name an address for us to call. */
  isOpen: boolean;
};

/** Accepts the addresses that are notified of a secret's end. */
export type Webhooks = {
  /**
   * Checks whether events can go there now. Every attempt checks again.
   * @throws AppError NOTIFY_FORBIDDEN, INVALID_REQUEST, DESTINATION_FORBIDDEN, DESTINATION_BUSY.
   */
  check(url: string): Promise<void>;
  /** The part that is stored with a new secret, and the secret that its event will be signed with. */
  subscribe(
    url: string,
    key: { id: Uint8Array; text: string },
  ): { notify: TakenEvent['notify']; webhookSecret: string };
};

export function createWebhooks({ ring, egress, isOpen }: WebhookParts): Webhooks {
  return {
    async check(url) {
      if (!isOpen) throw new AppError('NOTIFY_FORBIDDEN');
      await egress.check(url, RULES);
    },
    subscribe(url, key) {
      const { sealed, destination, webhookSecret } = createSubscription(ring, url, key);
      return { notify: { sealed, destination }, webhookSecret };
    },
  };
}

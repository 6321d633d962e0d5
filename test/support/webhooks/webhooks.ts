import type { Notifier } from '../../../src/secrets/admission.ts';
import type { Delivery } from '../../../src/secrets/reading.ts';

/** For services that notify nobody. */
export const NO_WEBHOOKS: { notifier: Notifier; delivery: Delivery } = {
  notifier: {
    check: () => Promise.reject(new TypeError('nobody can be notified')),
    subscribe: () => {
      throw new TypeError('nobody can be notified');
    },
  },
  delivery: { reserve: () => undefined, wake: () => {} },
};

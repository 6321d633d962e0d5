import type { Leased, OutboxStore } from '../outbox/store.ts';

/** What the delivery of webhooks needs from an engine. `SecretStore` writes an event in the step that ends its secret. */
export type EventStore = OutboxStore<TakenEvent>;

/** How a secret ended: it has one event in its life. */
export type EventType = 'read' | 'burned' | 'expired';

/** The id is that of its secret. */
export type TakenEvent = Leased & {
  type: EventType;
  /** As given to `create`. */
  notify: { sealed: Uint8Array; destination: Uint8Array };
};

import type { Leased, OutboxStore } from '../outbox/store.ts';

/** What the delivery of webhooks needs from an engine. `SecretStore` writes an event in the step that ends its secret. */
export type EventStore = OutboxStore<TakenEvent>;

/** How a secret ended: it has one such event in its life. A request has one of its own before that. */
export type EventType = 'read' | 'burned' | 'expired' | RequestEventType;
/** What became of a request: `unanswered` when it expired open. */
export type RequestEventType = 'answered' | 'unanswered';

/** The id is that of its secret, of a request's event `requestEventIdOf` its secret (event-ids.ts). */
export type TakenEvent = Leased & {
  type: EventType;
  /** As given to `create`. */
  notify: { sealed: Uint8Array; destination: Uint8Array };
};

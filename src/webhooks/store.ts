import type { Leased, OutboxStore } from '../outbox/store.ts';

/** What the delivery of webhooks needs from an engine. `SecretStore` writes an event in the step that ends its secret. */
export type EventStore = OutboxStore<TakenEvent>;

/** How a secret ended: it has one such event in its life. A request has one of its own before that. */
export type EventType = 'read' | 'burned' | 'expired' | RequestEventType;
/** What became of a request: `unanswered` when it expired open. */
export type RequestEventType = 'answered' | 'unanswered';

/** The id is that of its secret, of a request's event `requestEventIdOf` its secret. */
export type TakenEvent = Leased & {
  type: EventType;
  /** As given to `create`. */
  notify: { sealed: Uint8Array; destination: Uint8Array };
};

const REQUEST_MARK = Buffer.of(1);

/** The secret's own event has the plain id: neither is ever taken for the other. */
export function requestEventIdOf(secretId: Uint8Array): Uint8Array {
  return Buffer.concat([secretId, REQUEST_MARK]);
}

/** The id of the secret, or of the request, that an event is about. */
export function secretIdOf({ id, type }: Pick<TakenEvent, 'id' | 'type'>): Uint8Array {
  return isRequestEvent(type) ? id.subarray(0, -REQUEST_MARK.length) : id;
}

export function isRequestEvent(type: EventType): type is RequestEventType {
  return type === 'answered' || type === 'unanswered';
}

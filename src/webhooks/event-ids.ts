import type { EventType, RequestEventType, TakenEvent } from './store.ts';

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

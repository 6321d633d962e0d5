export type Family = {
  type: 'counter' | 'gauge' | 'histogram';
  labels: readonly string[];
  /** Of a histogram: the upper bounds of its buckets, ascending, without infinity. */
  bounds?: readonly number[];
  help: string;
};

const NO_LABELS = [] as const;
const HTTP_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10] as const;
const STORAGE_BOUNDS = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5] as const;
const DELAY_BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5] as const;
const EVENT_BOUNDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300, 3600, 21_600, 86_400] as const;
const BATCH_BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024] as const;

/**
 * Everything that `/metrics` tells. Label values come from closed sets: methods, route patterns, statuses, error codes,
 * verbs of a store, worker numbers. Never from a path, a body or a header.
 */
export const FAMILIES = {
  hushbox_build_info: { type: 'gauge', labels: ['version', 'node'], help: 'Always 1; its labels say what runs.' },
  hushbox_start_time_seconds: { type: 'gauge', labels: NO_LABELS, help: 'When the program started, since the epoch.' },
  hushbox_workers_wanted: { type: 'gauge', labels: NO_LABELS, help: 'Workers there should be.' },
  hushbox_workers_ready: {
    type: 'gauge',
    labels: NO_LABELS,
    help: 'Workers that serve, those that are leaving not counted.',
  },
  hushbox_worker_restarts_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Workers that ended before the program: `died` by themselves, or `replaced` by SIGHUP.',
  },
  hushbox_worker_cpu_seconds_total: {
    type: 'counter',
    labels: NO_LABELS,
    help: 'CPU time of all workers, their threads included.',
  },
  hushbox_worker_resident_memory_bytes: { type: 'gauge', labels: ['worker'], help: 'Memory of a worker in RAM.' },
  hushbox_worker_heap_used_bytes: { type: 'gauge', labels: ['worker'], help: 'JavaScript heap in use in a worker.' },
  hushbox_event_loop_active_seconds_total: {
    type: 'counter',
    labels: NO_LABELS,
    help: 'Time in which event loops were busy: its rate, divided by the workers, is their utilisation.',
  },
  hushbox_event_loop_delay_seconds: {
    type: 'histogram',
    labels: NO_LABELS,
    bounds: DELAY_BOUNDS,
    help: 'The longest delay of the event loop in each second of each worker.',
  },
  hushbox_http_connections: { type: 'gauge', labels: NO_LABELS, help: 'Open connections of the public listener.' },
  hushbox_http_requests_total: {
    type: 'counter',
    labels: ['method', 'route', 'status'],
    help: 'Requests answered by the public listener; route `none` where none matched.',
  },
  hushbox_http_errors_total: {
    type: 'counter',
    labels: ['route', 'code'],
    help: 'Those of them answered with an error; refused creations are those of `/generate`.',
  },
  hushbox_http_request_duration_seconds: {
    type: 'histogram',
    labels: ['route'],
    bounds: HTTP_BOUNDS,
    help: 'From the head of a request until its answer is handed to the system.',
  },
  hushbox_secrets_created_total: { type: 'counter', labels: NO_LABELS, help: 'Secrets stored.' },
  hushbox_secrets_read_total: { type: 'counter', labels: NO_LABELS, help: 'Secrets handed over, each once.' },
  hushbox_secrets_reread_total: {
    type: 'counter',
    labels: NO_LABELS,
    help: 'Repeated reads by the same reader, with an Idempotency-Key.',
  },
  hushbox_secrets_burned_total: { type: 'counter', labels: NO_LABELS, help: 'Secrets burned while they waited.' },
  hushbox_secrets_expired_total: {
    type: 'counter',
    labels: NO_LABELS,
    help: 'Secrets that ended unread, counted when swept; those that MongoDB removed while no worker ran are not.',
  },
  hushbox_fence_refused_secrets: {
    type: 'gauge',
    labels: NO_LABELS,
    help: 'Secrets refused because the database was put back to an older state.',
  },
  hushbox_wrong_tries_total: { type: 'counter', labels: NO_LABELS, help: 'Wrong phrases.' },
  hushbox_exhausted_tries_total: {
    type: 'counter',
    labels: NO_LABELS,
    help: 'Wrong phrases that were the last try of a budget, at most one an hour and secret.',
  },
  hushbox_hash_queue_places: { type: 'gauge', labels: NO_LABELS, help: 'Places for phrases to be hashed.' },
  hushbox_hash_queue_places_taken: {
    type: 'gauge',
    labels: NO_LABELS,
    help: 'Places taken, those being hashed included.',
  },
  hushbox_hash_queue_waiting: {
    type: 'gauge',
    labels: NO_LABELS,
    help: 'Phrases that wait for a core to be hashed on.',
  },
  hushbox_hash_queue_rejected_total: {
    type: 'counter',
    labels: NO_LABELS,
    help: 'Requests refused as BUSY because every place was taken.',
  },
  hushbox_webhook_results_total: {
    type: 'counter',
    labels: ['result'],
    help:
      'How attempts to deliver an event ended: `delivered`, `gone` (410), `refused` (another status), `unreachable`, ' +
      '`forbidden` (the address), `damaged`, `later` (not tried), `cut` (handed back); and events `given_up`.',
  },
  hushbox_webhook_delay_seconds: {
    type: 'histogram',
    labels: NO_LABELS,
    bounds: EVENT_BOUNDS,
    help: 'From an event until it is delivered.',
  },
  hushbox_webhook_events_waiting: {
    type: 'gauge',
    labels: NO_LABELS,
    help: 'Events that are not delivered yet, those under way included.',
  },
  hushbox_webhook_oldest_event_seconds: {
    type: 'gauge',
    labels: NO_LABELS,
    help: 'The age of the oldest of them; 0 without one.',
  },
  hushbox_egress_attempts_total: {
    type: 'counter',
    labels: ['purpose', 'outcome'],
    help: 'Requests sent out, or not: `answered` with any status, `failed`, `timeout`, `forbidden`, `busy`, `given_up` by who asked for it.',
  },
  hushbox_egress_under_way: {
    type: 'gauge',
    labels: NO_LABELS,
    help: 'Requests sent out and not yet answered in full.',
  },
  hushbox_egress_waiting: {
    type: 'gauge',
    labels: NO_LABELS,
    help: 'Requests that wait for a place at their destination.',
  },
  hushbox_storage_operation_duration_seconds: {
    type: 'histogram',
    labels: ['operation'],
    bounds: STORAGE_BOUNDS,
    help: 'What the storage was asked for, failures included.',
  },
  hushbox_storage_errors_total: { type: 'counter', labels: ['operation'], help: 'What the storage did not do.' },
  hushbox_storage_batch_calls: {
    type: 'histogram',
    labels: NO_LABELS,
    bounds: BATCH_BOUNDS,
    help: 'Writes that shared one sync (SQLite).',
  },
} as const satisfies Record<string, Family>;

export type FamilyName = keyof typeof FAMILIES;

/**
 * Values by family, then by label values in the family's order, joined by blanks. A counter or gauge is one number; a
 * histogram is one for each bucket by itself (the last is what is above all bounds), then the sum of what was observed.
 */
export type Samples = Record<string, Record<string, number[]>>;

export function familyOf(name: string): Family | undefined {
  return (FAMILIES as Readonly<Record<string, Family>>)[name];
}

/** Zeros in the form of a family's values. */
export function emptyValues({ bounds }: Family): number[] {
  return new Array<number>(bounds ? bounds.length + 2 : 1).fill(0);
}

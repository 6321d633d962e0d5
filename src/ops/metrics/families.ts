export type Family = {
  type: 'counter' | 'gauge' | 'histogram';
  labels: readonly string[];
  /** Of a histogram: the upper bounds of its buckets, ascending, without infinity. */
  bounds?: readonly number[];
  help: string;
  /** Not shown by programs that do not have what it is about; otherwise zero is shown until there is a value. */
  isOptional?: true;
};

const HTTP_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10] as const;
const STORAGE_BOUNDS = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5] as const;
const DELAY_BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5] as const;
const EVENT_BOUNDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300, 3600, 21_600, 86_400] as const;
const BATCH_BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024] as const;

function counter(help: string, labels: readonly string[] = []) {
  return { type: 'counter', labels, help } as const;
}
function gauge(help: string, labels: readonly string[] = []) {
  return { type: 'gauge', labels, help } as const;
}
function histogram(bounds: readonly number[], help: string, labels: readonly string[] = []) {
  return { type: 'histogram', labels, bounds, help } as const;
}

/**
 * Everything in `/metrics`. Label values come from closed sets: methods, route patterns, statuses, error codes, verbs of
 * a store, worker numbers. They never come from a path, a body or a header.
 */
export const FAMILIES = {
  hushbox_build_info: gauge('Always 1; the labels show which version runs.', ['version', 'node']),
  hushbox_start_time_seconds: gauge('Start time of the program, in seconds since the epoch.'),
  hushbox_workers_wanted: gauge('Configured number of workers.'),
  hushbox_workers_ready: gauge('Workers that serve requests, without those that are shutting down.'),
  hushbox_worker_restarts_total: counter(
    'Workers that ended while the program kept running: `died` (crashed) or `replaced` (by SIGHUP).',
    ['reason'],
  ),
  hushbox_worker_cpu_seconds_total: counter('CPU time of all workers, including their threads.'),
  hushbox_worker_resident_memory_bytes: gauge('Resident memory of a worker.', ['worker']),
  hushbox_worker_heap_used_bytes: gauge('JavaScript heap in use in a worker.', ['worker']),
  hushbox_event_loop_active_seconds_total: counter(
    'Time in which event loops were busy: its rate, divided by the number of workers, is their utilisation.',
  ),
  hushbox_event_loop_delay_seconds: histogram(
    DELAY_BOUNDS,
    'The longest delay of the event loop in each second of each worker; while a worker has little to do, at most all the time in which it was busy.',
  ),
  hushbox_client_networks: gauge(
    'Different networks of clients whose limits were asked for, as each worker has seen them since its start, up to 1,000 of a kind.',
    ['kind'],
  ),
  hushbox_http_connections: gauge('Open connections of the public listener.'),
  hushbox_http_connections_max: gauge('Connections that the public listener of all workers may have open.'),
  hushbox_http_connections_closed_total: counter(
    'Connections closed to make room for a newer one, mostly the one that was idle longest.',
  ),
  hushbox_bodies_bytes: gauge(
    'Bytes of bodies above 64 KiB that are not stored yet, and of answers above 64 KiB that are not sent yet.',
  ),
  hushbox_bodies_max_bytes: gauge('What these may be in all workers together: `BODIES_MAX_BYTES` of each.'),
  hushbox_bodies_refused_total: counter('Requests refused as BUSY because there was no room for their body or answer.'),
  hushbox_http_requests_total: counter('Requests answered by the public listener; route `none` if no route matched.', [
    'method',
    'route',
    'status',
  ]),
  hushbox_http_errors_total: counter('Requests answered with an error; those of `/generate` are refused secrets.', [
    'route',
    'code',
  ]),
  hushbox_http_request_duration_seconds: histogram(
    HTTP_BOUNDS,
    'Time from the head of a request until its answer is handed to the operating system.',
    ['route'],
  ),
  hushbox_secrets_created_total: counter('Secrets stored.'),
  hushbox_secrets_read_total: counter('Secrets read, each once.'),
  hushbox_secrets_reread_total: counter('Repeated reads by the same reader, with an Idempotency-Key.'),
  hushbox_secrets_burned_total: counter('Secrets burned before they were read.'),
  hushbox_secret_requests_created_total: counter('Requests for a secret stored.'),
  hushbox_secret_requests_answered_total: counter('Requests answered, each once: from then on there is a secret.'),
  hushbox_secret_requests_withdrawn_total: counter('Requests withdrawn before they were answered.'),
  hushbox_secrets_expired_total: counter(
    'Secrets that expired unread, counted when they are swept; without those that MongoDB removed while no worker ran.',
  ),
  hushbox_fence_refused_secrets: gauge('Secrets refused because the database was restored to an older state.'),
  hushbox_wrong_tries_total: counter('Wrong phrases.'),
  hushbox_exhausted_tries_total: counter(
    'Wrong phrases that used up the last try of a secret, at most one per hour and secret.',
  ),
  hushbox_hash_queue_places: gauge('Places in the queue for hashing, by lane: `phrases` or `passwords`.', ['lane']),
  hushbox_hash_queue_places_taken: gauge('Places taken, including what is being hashed.', ['lane']),
  hushbox_hash_queue_waiting: gauge('Phrases and passwords that wait for a core to be hashed on.', ['lane']),
  hushbox_hash_queue_rejected_total: counter('Requests refused as BUSY because every place of the lane was taken.', [
    'lane',
  ]),
  hushbox_logins_total: counter(
    'Log-ins that `succeeded`, were `refused`, or `limited` before the password was looked at.',
    ['result'],
  ),
  hushbox_session_ends_total: counter(
    'Requests that ended sessions: `ended` (log-out, or from the list), `others_ended`, `replayed` (without its cookie), `refresh_reused` (an old refresh token).',
    ['reason'],
  ),
  hushbox_account_events_total: counter(
    'What people did with accounts: `registered` (asked for a link), `activated`, `password_reset`, `password_changed`, ' +
      '`email_changed`, `deleted`.',
    ['event'],
  ),
  hushbox_webhook_results_total: counter(
    'Results of attempts to deliver an event: `delivered`, `gone` (410), `refused` (another status), `unreachable`, ' +
      '`forbidden` (address not allowed), `damaged`, `later` (not tried), `cut` (handed back); and events `given_up`.',
    ['result'],
  ),
  hushbox_webhook_delay_seconds: histogram(EVENT_BOUNDS, 'Time from an event until it is delivered.'),
  hushbox_webhook_events_waiting: gauge('Events not delivered yet, including those in progress.'),
  hushbox_webhook_oldest_event_seconds: gauge('Age of the oldest event not delivered yet; 0 without one.'),
  hushbox_mail_results_total: counter(
    'Results of attempts to give a mail to the mail server: `delivered`, `gone` (the recipient is refused for good), ' +
      '`refused` (for now), `unreachable` (no connection, or no log-in), `damaged`, `later` (not tried), `cut` (handed back); and mails `given_up`.',
    ['result'],
  ),
  hushbox_mail_delay_seconds: histogram(EVENT_BOUNDS, 'Time from the writing of a mail until the mail server has it.'),
  hushbox_mails_waiting: gauge('Mails that the mail server does not have yet, including those in progress.'),
  hushbox_mail_oldest_seconds: gauge('Age of the oldest mail that the mail server does not have yet; 0 without one.'),
  hushbox_auth_calls_total: counter(
    'Questions whether a token is good: `accepted`, `refused`, `unavailable` (no answer in time, or none that says so), `repeated` (asked once more).',
    ['outcome'],
  ),
  hushbox_auth_call_duration_seconds: histogram(HTTP_BOUNDS, 'Time until a token was known to be good or not.'),
  hushbox_kafka_members: {
    ...gauge('Workers that take part in the consumer group of Kafka; fewer while no broker answers. Only with Kafka.'),
    isOptional: true,
  },
  hushbox_kafka_lag: gauge('Messages of `auth_request` that are not answered yet, in the partitions of these workers.'),
  hushbox_kafka_requests_total: counter(
    'Messages of `auth_request`: answered as `authenticated` or `refused`, or `malformed` and skipped. One that is delivered again counts again.',
    ['result'],
  ),
  hushbox_customers_changed_total: counter('Customers that were `created`, `updated` or `deleted`.', ['change']),
  hushbox_egress_attempts_total: counter(
    'Outgoing requests: `answered` with any status, `failed`, `timeout`, `forbidden`, `busy`, `given_up` by the caller.',
    ['purpose', 'outcome'],
  ),
  hushbox_egress_under_way: gauge('Outgoing requests sent and not yet answered in full.'),
  hushbox_egress_waiting: gauge('Outgoing requests that wait for a place at their destination.'),
  hushbox_storage_operation_duration_seconds: histogram(
    STORAGE_BOUNDS,
    'Duration of storage calls, including failures.',
    ['operation'],
  ),
  hushbox_storage_errors_total: counter('Failed storage calls.', ['operation']),
  hushbox_storage_batch_calls: histogram(BATCH_BOUNDS, 'Writes that shared one sync (SQLite).'),
} satisfies Record<string, Family>;

export type FamilyName = keyof typeof FAMILIES;

/**
 * Values by family, then by label values in the family's order, joined by blanks. A counter or gauge is one number. A
 * histogram has one count for each bucket (the last is above all bounds), and then the sum of the observed values.
 */
export type Samples = Record<string, Record<string, number[]>>;

/** Zeros in the form of a family's values. */
export function emptyValues({ bounds }: Family): number[] {
  return new Array<number>(bounds ? bounds.length + 2 : 1).fill(0);
}

import { userUntil } from '../../auth/sessions/browser-routes.ts';
import type { Sessions } from '../../auth/sessions/sessions.ts';
import type { Config } from '../../config/config.ts';
import { type Bus, createBus, RESULTS } from '../../kafka/bus.ts';
import { type Log, reasonOf } from '../../ops/log.ts';
import type { Meters } from '../../ops/metrics/meters.ts';

export type KafkaParts = { config: Config; sessions: Pick<Sessions, 'look'>; log: Log; meters: Meters };

/** Tokens verified over Kafka, with log and metrics. @returns undefined where that is not served. */
export function createKafka({ config, sessions, log, meters }: KafkaParts): Bus | undefined {
  const { KAFKA_URL: url } = config;
  if (!url || !config.SERVICES.includes('kafka')) return undefined;
  for (const result of RESULTS) meters.count('hushbox_kafka_requests_total', result, 0);
  const bus = createBus({
    url,
    async look(token) {
      const found = await sessions.look(token);
      return found && userUntil(found.session, found.until);
    },
    report: {
      joined: () => log.info('joined the consumer group: tokens are verified over Kafka'),
      away: (err) =>
        log.warn({ reason: reasonOf(err) }, 'Kafka is away: tokens are not verified over it until it is back'),
      storageAway: (err) => log.warn({ reason: reasonOf(err) }, 'the storage is away: requests over Kafka wait'),
      storageBack: () => log.info('the storage is back: requests over Kafka are answered'),
      malformed: (place) => log.warn(place, 'a malformed message was skipped'),
      done: (result) => meters.count('hushbox_kafka_requests_total', result),
    },
  });
  meters.watch('hushbox_kafka_members', '', () => Number(bus.isMember()));
  meters.watch('hushbox_kafka_lag', '', bus.lag);
  return bus;
}

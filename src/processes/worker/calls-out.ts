import type { AppParts } from '../../app.ts';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import { loadTokenKey, whyNoProxy } from '../../keys/token-key.ts';
import { randomBytes } from '../../sealing/random.ts';
import { createSink } from '../../sink/sink.ts';
import type { SinkStore } from '../../sink/store.ts';
import { createTokenKey } from '../../tokens/calls/key.ts';
import { createCallClaims, signToken } from '../../tokens/calls/sign.ts';
import { verifyToken } from '../../tokens/calls/verify.ts';

type CallsOut = Pick<AppParts, 'sink' | 'proxy'>;
export type CallsOutParts = {
  config: Config;
  sinkStore: SinkStore;
  clock: Clock;
  send: NonNullable<CallsOut['proxy']>['send'];
};

/** Both ends of a signed call, where there is a key to sign with. */
export function createCallsOut({ config, sinkStore, clock, send }: CallsOutParts): CallsOut {
  const bytes = loadTokenKey(config);
  if (!bytes) return { sink: undefined, proxy: undefined };
  const key = createTokenKey(bytes);
  const sink = createSink({ store: sinkStore, verify: (token) => verifyToken(key, token, clock()), clock });
  if (whyNoProxy(config)) return { sink, proxy: undefined };
  const claimsOf = createCallClaims({ clock, randomBytes });
  return { sink, proxy: { sign: () => signToken(key, claimsOf(config.PROXY_USER)), send } };
}

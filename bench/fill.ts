import { randomBytes } from 'node:crypto';
import { NO_LIMITS } from '../src/limits/limits.ts';
import { createKeyRing } from '../src/sealing/key-ring.ts';
import { sealSecret } from '../src/secrets/envelope.ts';
import { createSecretKey } from '../src/secrets/keys.ts';
import { openSqlite } from '../src/storage/sqlite/open.ts';

const WEEK_MS = 7 * 24 * 3_600_000;

/** Fills a database file with sealed secrets whose expiry lies evenly between two instants, relative to now. */
export async function fillWithSecrets(path: string, count: number, [fromMs, toMs]: [number, number]): Promise<void> {
  const { secrets, close } = await openSqlite(path, NO_LIMITS, {
    onLost(error) {
      throw error;
    },
    onWarning() {},
  });
  const ring = createKeyRing([randomBytes(32)]);
  const now = Date.now();
  const text = Buffer.alloc(64, 's');
  for (let done = 0; done < count; done += 5000) {
    await Promise.all(
      Array.from({ length: 5000 }, (_, index) => {
        const expiresAt = Math.round(now + fromMs + ((done + index) / count) * (toMs - fromMs));
        const createdAt = expiresAt - WEEK_MS;
        const { id, bytes } = createSecretKey(expiresAt);
        const envelope = sealSecret(ring, bytes, { id, createdAt, expiresAt }, { text });
        return secrets.create({ id, envelope, createdAt, expiresAt });
      }),
    );
  }
  await close();
}

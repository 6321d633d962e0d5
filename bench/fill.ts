import { randomBytes } from 'node:crypto';
import { sealSecret } from '../src/secrets/envelope.ts';
import { createKeyRing } from '../src/secrets/key-ring.ts';
import { createSecretKey } from '../src/secrets/keys.ts';
import { openSqlite } from '../src/storage/sqlite/open.ts';

const DAY_MS = 24 * 3_600_000;

/** Fills a database file with sealed secrets, as if created evenly over the last week; a tenth of them has expired. */
export async function fillWithSecrets(path: string, count: number): Promise<void> {
  const { secrets, close } = await openSqlite(path, (error) => {
    throw error;
  });
  const ring = createKeyRing([randomBytes(32)]);
  const now = Date.now();
  const text = Buffer.alloc(64, 's');
  for (let done = 0; done < count; done += 5000) {
    await Promise.all(
      Array.from({ length: 5000 }, (_, index) => {
        const share = (done + index) / count;
        const expiresAt = Math.round(now + (share - 0.1) * 7 * DAY_MS);
        const createdAt = expiresAt - 7 * DAY_MS;
        const { id, bytes } = createSecretKey(expiresAt);
        const envelope = sealSecret(ring, bytes, { id, createdAt, expiresAt }, text);
        return secrets.create({ id, envelope, createdAt, expiresAt });
      }),
    );
  }
  await close();
}

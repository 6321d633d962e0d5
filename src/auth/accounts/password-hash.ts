import { timingSafeEqual } from 'node:crypto';
import { type Cost, PASSWORD_COST } from '../../hashing/cost.ts';
import type { Hash } from '../../hashing/hash-queue.ts';
import { randomBytes } from '../../sealing/random.ts';

const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** The PHC string format, as far as argon2id needs it. */
const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([\w+/]{22,86})\$([\w+/]{43})$/;

type Parsed = { cost: Cost; salt: Buffer; hash: Buffer };

/** What an account without one is compared with: it takes the same work, and nothing is equal to it. */
const NO_HASH: Parsed = { cost: PASSWORD_COST, salt: Buffer.alloc(SALT_BYTES), hash: Buffer.alloc(HASH_BYTES) };

/** @returns a hash in the PHC string format. */
export async function hashPassword(password: Uint8Array, hash: Hash): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const { memoryKib, passes, lanes } = PASSWORD_COST;
  const bytes = await hash(password, salt, PASSWORD_COST);
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$${base64(salt)}$${base64(bytes)}`;
}

/**
 * Takes the same work whether there is a hash or not.
 * @throws Error for a stored hash that is in another form.
 */
export async function isPassword(password: Uint8Array, stored: string | undefined, hash: Hash): Promise<boolean> {
  const { cost, salt, hash: expected } = stored === undefined ? NO_HASH : parse(stored);
  const bytes = await hash(password, salt, cost);
  return timingSafeEqual(bytes, expected) && stored !== undefined;
}

/** Whether a hash was made at a lower cost than today's. */
export function isOutdated(stored: string): boolean {
  const { cost } = parse(stored);
  return cost.memoryKib < PASSWORD_COST.memoryKib || cost.passes < PASSWORD_COST.passes;
}

function parse(stored: string): Parsed {
  const [, memoryKib, passes, lanes, salt = '', hash = ''] = PHC.exec(stored) ?? [];
  if (memoryKib === undefined) throw new Error('a stored hash of a password is not in the PHC format of argon2id');
  return {
    cost: { memoryKib: Number(memoryKib), passes: Number(passes), lanes: Number(lanes) },
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  };
}

/** Without padding, as the format has it. */
function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}

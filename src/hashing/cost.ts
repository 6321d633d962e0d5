/** What one hash by argon2id takes. */
export type Cost = Readonly<{ memoryKib: number; passes: number; lanes: number }>;

/** OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane. The envelope of secrets has no other. */
export const PHRASE_COST: Cost = { memoryKib: 19_456, passes: 2, lanes: 1 };

/** For new hashes of passwords, which name their cost. When this rises, each password is hashed again at its next log-in. */
export const PASSWORD_COST: Cost = { memoryKib: 19_456, passes: 2, lanes: 1 };

// What this browser keeps, and no server: never a link, never a secret. All of it can be missing: a browser may refuse.

const SENT = 'hushbox.sent';
const READ = 'hushbox.read';
const MOST = 100;
/** How long a receipt outlives its secret. */
const AFTER_MS = 7 * 86_400_000;

/** @typedef {{ receipt: string, sentAt: number, expiresAt: number }} Sent */

/** @returns {Sent[]} the newest first; of each, the receipt shows what became of it */
export function listSent() {
  return load(SENT).filter(
    ({ receipt, expiresAt }) => /^receipt_[\w-]+$/.test(receipt) && expiresAt + AFTER_MS > Date.now(),
  );
}

/** @param {Sent} sent */
export function keepSent(sent) {
  store(SENT, [sent, ...listSent()]);
}

export function forgetSent() {
  localStorage.removeItem(SENT);
}

/**
 * Notes that a secret was read here: a hash of its key, which opens nothing any more, and the time.
 * @param {string} key
 */
export async function keepRead(key) {
  const hash = await hashOf(key);
  if (hash) store(READ, [{ hash, at: Date.now() }, ...load(READ)]);
}

/**
 * @param {string} key
 * @returns {Promise<number | undefined>} when it was read here
 */
export async function findRead(key) {
  const hash = await hashOf(key);
  return load(READ).find((read) => read.hash === hash)?.at;
}

/** @param {string} key */
async function hashOf(key) {
  if (!globalThis.crypto?.subtle) return undefined;
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key)));
  return Array.from(hash.subarray(0, 12), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * @param {string} name
 * @returns {any[]}
 */
function load(name) {
  try {
    const kept = JSON.parse(localStorage.getItem(name) ?? '[]');
    return Array.isArray(kept) ? kept.filter((item) => typeof item === 'object' && item !== null) : [];
  } catch {
    return [];
  }
}

/**
 * @param {string} name
 * @param {object[]} items
 */
function store(name, items) {
  try {
    localStorage.setItem(name, JSON.stringify(items.slice(0, MOST)));
  } catch {
    // full, or refused: the list is a convenience
  }
}

/** Whose a token is, as `POST /api/v1/verify` says it. */
export type User = { user_id: string; email: string; role: string; session_id: string; expires_at: string };

export type Request = { token: string; id: string | number | undefined };

/** Key and value of a message together. A token has a few hundred bytes. */
export const MESSAGE_MAX_BYTES = 64 * 1024;
const ID_MAX_LENGTH = 256;

/** As elsewhere, a byte order mark is ignored. */
const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads a request, `{"token", "id"?}`. Other members are ignored: a producer may have some of its own.
 * @returns undefined for anything else.
 */
export function parseRequest(key: Buffer | undefined, value: Buffer | undefined): Request | undefined {
  if (!value || value.length + (key?.length ?? 0) > MESSAGE_MAX_BYTES) return undefined;
  const { token, id } = parseObject(value) ?? {};
  if (typeof token !== 'string' || !token.isWellFormed()) return undefined;
  const hasNoId = id === undefined || id === null;
  return hasNoId || isId(id) ? { token, id: hasNoId ? undefined : id } : undefined;
}

function parseObject(value: Buffer): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(decoder.decode(value));
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** It comes back as it was: a number only if it is exact. */
function isId(id: unknown): id is string | number {
  if (typeof id === 'string') return id.length <= ID_MAX_LENGTH && id.isWellFormed();
  return Number.isSafeInteger(id);
}

/** The answer. It never has the token. */
export function formatAnswer({ id }: Request, user: User | undefined): Buffer {
  return Buffer.from(JSON.stringify({ id, authenticated: user !== undefined, user }));
}

import { hash } from 'node:crypto';
import { opaqueTokens } from '../../tokens/opaque.ts';

const PREFIX = 'hushbox_';

/** Of the sessions of API clients. */
export const { create: createToken, hash: hashToken } = opaqueTokens(PREFIX);

/** What the session of a browser is found by: its tokens carry its id, signed. */
export function hashSessionId(id: string): Buffer {
  return hash('sha256', `browser session ${id}`, 'buffer');
}

/** Whether text claims to be a token of ours: if it is not good, it must not pass for somebody else's. */
export function isOurs(token: string): boolean {
  return token.startsWith(PREFIX);
}

import { readFileSync } from 'node:fs';
import { AppError } from '../../errors.ts';

export const PASSWORD_MIN = 8;
/** In code points after NFC, as `PASSWORD_MIN`. */
export const PASSWORD_MAX = 256;
/** NFC leaves at least one code point of 3, each of which has at most 4 bytes: text of more bytes is always too long. */
const MAX_BYTES_BEFORE = 4 * 4 * PASSWORD_MAX;

/** A password as it is hashed: UTF-8 after NFC, because two keyboards can compose the same letter differently. */
export type Password = { text: string; bytes: Buffer };

/**
 * Looks at the length first: the time that NFC takes can grow with the square of the length.
 * @returns undefined for text that no account can have as its password.
 */
export function readPassword(text: string): Password | undefined {
  if (Buffer.byteLength(text) > MAX_BYTES_BEFORE || !text.isWellFormed()) return undefined;
  const normalised = text.normalize('NFC');
  const length = [...normalised].length;
  if (length < PASSWORD_MIN || length > PASSWORD_MAX) return undefined;
  return { text: normalised, bytes: Buffer.from(normalised) };
}

const DIGITS = '01234567890';
const REPEATED = /^(\d{1,4}?)\1+$/;

/** Such as `88888888`, `12341234` and `87654321`: lists of common passwords have only some of them. */
function isSimpleNumber(text: string): boolean {
  return REPEATED.test(text) || DIGITS.includes(text) || DIGITS.includes([...text].reverse().join(''));
}

export type PasswordRules = {
  /** @returns what is wrong with a new password, as the end of a sentence about it; or the password. */
  check(text: string): { fault: string } | { password: Password };
};

/** The list of common passwords is read when it is first needed, which takes some milliseconds. */
export function createPasswordRules(): PasswordRules {
  let common: ReadonlySet<string> | undefined;
  return {
    check(text) {
      const password = readPassword(text);
      if (!password) return { fault: `must have ${PASSWORD_MIN} to ${PASSWORD_MAX} characters` };
      common ??= readCommonPasswords();
      const small = password.text.toLowerCase().normalize('NFC');
      const isCommon = common.has(small) || isSimpleNumber(small);
      return isCommon ? { fault: 'is one of the most common ones: choose another' } : { password };
    },
  };
}

/** @throws AppError INVALID_REQUEST for a new password that an account cannot have. */
export function requirePassword(rules: PasswordRules, text: string): Password {
  const checked = rules.check(text);
  if ('fault' in checked) throw new AppError('INVALID_REQUEST', { detail: `password ${checked.fault}` });
  return checked.password;
}

/** Small letters, NFC. */
export function readCommonPasswords(): ReadonlySet<string> {
  const lines = readFileSync(new URL('./common-passwords.txt', import.meta.url), 'utf8').split('\n');
  return new Set(lines.filter((line) => line !== '' && !line.startsWith('#')));
}

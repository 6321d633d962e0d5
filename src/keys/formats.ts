/** A master key. @returns 32 bytes, or undefined. */
export function decodeKey(text: string): Buffer | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  if (/^[A-Za-z0-9_-]{43}=?$/.test(text)) return Buffer.from(text, 'base64url');
  return undefined;
}

/** Master keys, one on each line. @returns undefined unless all lines are keys. */
export function decodeKeys(text: string): Buffer[] | undefined {
  const keys = text
    .trim()
    .split('\n')
    .map((line) => decodeKey(line.trim()));
  return keys.every((key) => key !== undefined) ? keys : undefined;
}

/** Hex digits, with or without blanks. @returns undefined unless they are 64 to 1024 bytes. */
export function decodeJwtKey(text: string): Buffer | undefined {
  const digits = text.replaceAll(/\s/g, '');
  return /^(?:[0-9a-f]{2}){64,1024}$/i.test(digits) ? Buffer.from(digits, 'hex') : undefined;
}

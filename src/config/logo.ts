import { readFileSync } from 'node:fs';

const MAX_BYTES = 100 * 1024;
const PNG = Buffer.from('89504e470d0a1a0a', 'hex');

/** The operator's picture, as pages load it. */
export type Logo = { type: 'image/png' | 'image/svg+xml'; content: Buffer };

/** @returns no logo for an empty file, which containers mount where none is set; `bad` for what is no picture of ours. */
export function readLogo(path: string): Logo | undefined | 'bad' {
  try {
    const content = readFileSync(path);
    if (content.length === 0) return undefined;
    if (content.length > MAX_BYTES) return 'bad';
    if (content.subarray(0, PNG.length).equals(PNG)) return { type: 'image/png', content };
    return /<svg[\s>]/.test(content.toString()) ? { type: 'image/svg+xml', content } : 'bad';
  } catch {
    return 'bad';
  }
}

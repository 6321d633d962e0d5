import { readFileSync } from 'node:fs';

type Listed = { name: string; type: string; bytes: string };

/** Made by `test/vectors/make.py`, with another implementation. */
export type Vectors = {
  keys: { alg: 'dir' | 'ECDH-ES'; fragment: string; kid: string; proof: string; proofHash: string }[];
  x: string;
  lowOrder: string[];
  opens: { title: string; alg: 'dir' | 'ECDH-ES'; jwe: string; text?: string; files?: Listed[] }[];
  refused: { title: string; alg: 'dir' | 'ECDH-ES'; jwe: string }[];
};

export const VECTORS = JSON.parse(
  readFileSync(new URL('../vectors/sealed-v1.json', import.meta.url), 'utf8'),
) as Vectors;

export function keyFor(alg: 'dir' | 'ECDH-ES') {
  const key = VECTORS.keys.find((found) => found.alg === alg);
  if (!key) throw new TypeError(`no key for ${alg}`);
  return key;
}

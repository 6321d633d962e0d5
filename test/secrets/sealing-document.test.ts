import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { calculateJwkThumbprint, compactDecrypt } from 'jose';
import { startServer } from '../support/http/server.ts';
import { remember } from '../support/process/leaks.ts';
import { proofOf } from '../support/secrets/sealed.ts';
import { SQLITE, temporaryFolder } from '../support/storage/storage.ts';

const document = readFileSync(new URL('../../docs/sealing.md', import.meta.url), 'utf8');

function blocks(language: string): string {
  return [...document.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))]
    .map(([, code]) => code)
    .join('\n');
}

type Program = {
  send(base: string, text: string): Promise<string>;
  open(link: string): Promise<string>;
  ask(base: string, note: string): Promise<{ send: string; keep: string }>;
  answer(link: string, text: string): Promise<void>;
  post(url: string, body: unknown): Promise<{ secret: string }>;
  proofOf(key: Uint8Array): Promise<{ proof: string; proof_hash: string }>;
};

async function load(folder: string): Promise<Program> {
  const jose = import.meta.resolve('jose');
  const path = join(folder, 'program.mjs');
  writeFileSync(path, blocks('js').replaceAll("'jose'", JSON.stringify(jose)));
  return import(path);
}

SQLITE.test('the program of the document sends, opens, asks and answers', async (t) => {
  const { base } = await startServer(t, { place: await SQLITE.place(t) });
  const program = await load(await temporaryFolder(t));
  const text = '\ufeffpässwörd\r\n';
  const link = await program.send(base, text);
  remember(link.split('#')[1]);
  const changed = `${link.slice(0, -2)}${link.at(-2) === 'x' ? 'y' : 'x'}${link.slice(-1)}`;
  for (const spoilt of [link.slice(0, -1), changed, `${link.split('#')[0]}#`]) {
    await t.throwsAsync(program.open(spoilt));
  }
  t.is(await program.open(link), text);
  await t.throwsAsync(program.open(link));

  const { send, keep } = await program.ask(base, 'please');
  await program.answer(send, text);
  await t.throwsAsync(program.answer(send, text));
  const [url = '', d = ''] = keep.split('#');
  remember(d);
  const { proof } = await program.proofOf(Buffer.from(d, 'base64url'));
  const { secret } = await program.post(url, { proof });
  const { plaintext } = await compactDecrypt(secret, { kty: 'OKP', crv: 'X25519', x: send.split('#')[1] as string, d });
  t.is(Buffer.from(plaintext).toString(), text);
});

test('the shell of the document makes the same thumbprint and proof', async (t) => {
  const script = `${blocks('sh')}\nprintf '%s\\n' "$K" "$KID" "$PROOF" "$PROOF_HASH"`;
  const lines = execFileSync('sh', ['-ec', script], { encoding: 'utf8', timeout: 20_000 }).trim().split('\n');
  const [K = '', kid, proof, proofHash] = lines;
  t.is(kid, await calculateJwkThumbprint({ kty: 'oct', k: K }));
  t.deepEqual({ proof, proofHash }, proofOf(Buffer.from(K, 'base64url')));
});

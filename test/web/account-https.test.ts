import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { openPage } from '../support/browser/browser.ts';
import { button, cookieNames, dropAccessToken, heading, link, signIn } from '../support/browser/people.ts';
import { startPassingProxy } from '../support/http/passing-proxy.ts';
import { makeCertificate } from '../support/nginx/certificate.ts';
import { startNginx, withNginx } from '../support/nginx/nginx.ts';
import { findFreePort } from '../support/process/free-port.ts';
import { hushbox } from '../support/process/hushbox.ts';
import { remember } from '../support/process/leaks.ts';
import { start } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const EMAIL = 'owner@example.com';
const PASSWORD = 'a password of its owner';
remember(PASSWORD);

async function startProgram(t: ExecutionContext, env: Record<string, string> = {}): Promise<string> {
  const folder = await temporaryFolder(t);
  const sockets = join(folder, 's');
  await start(t, {
    folder,
    env: { SOCKET_DIR: sockets, WORKERS: '2', STORAGE_URL: `sqlite:${folder}/h.db`, NODE_ENV: 'development', ...env },
  });
  const password = join(folder, 'password');
  writeFileSync(password, PASSWORD);
  const { code, stderr } = await hushbox(['account', 'create', EMAIL, '--password-file', password], {
    STORAGE_URL: `sqlite:${folder}/h.db`,
  });
  t.is(code, 0, stderr);
  return sockets;
}

/** What a person does over HTTPS, and which cookies the browser has then. */
async function visit(t: ExecutionContext, base: string): Promise<void> {
  const page = await openPage(t, [base], { ignoreHTTPSErrors: true });
  await signIn(page, base, EMAIL, PASSWORD);
  t.deepEqual(await cookieNames(page), ['__Host-access_token', '__Host-csrftoken', '__Host-refresh_token']);
  for (const { name, secure, httpOnly, sameSite, path } of await page.context().cookies()) {
    t.deepEqual({ secure, sameSite, path }, { secure: true, sameSite: 'Strict', path: '/' }, name);
    t.is(httpOnly, name !== '__Host-csrftoken');
  }
  // A sibling host can set a cookie without the prefix; it counts for nothing.
  await page.context().addCookies([{ name: 'csrftoken', value: 'tossed', url: base }]);
  await dropAccessToken(page);
  await page.goto(`${base}/`);
  await link(page, EMAIL).click();
  await button(page, 'Sign out').click();
  await heading(page, 'You are signed out').waitFor();
  t.deepEqual(await cookieNames(page), ['csrftoken']);
}

withNginx.serial('over HTTPS through nginx the cookies are of this host alone, and everything works', async (t) => {
  const sockets = await startProgram(t);
  const nginx = await startNginx(t, { sockets, workers: 2, server: 'tls.conf', prepare: makeCertificate });
  await visit(t, `https://localhost:${nginx.port + 1}`);
});

withNginx.serial('the same behind a proxy that ends TLS before nginx, with PUBLIC_URL', async (t) => {
  const folder = await temporaryFolder(t);
  await makeCertificate(folder);
  const [key, cert] = ['privkey.pem', 'fullchain.pem'].map((name) => readFileSync(join(folder, name), 'utf8')) as [
    string,
    string,
  ];
  const port = await findFreePort();
  const base = `https://localhost:${port}`;
  const sockets = await startProgram(t, { PUBLIC_URL: base });
  const nginx = await startNginx(t, { sockets, workers: 2 });
  await startPassingProxy(t, { port: nginx.port, tls: { key, cert }, listenPort: port });
  await visit(t, base);
});

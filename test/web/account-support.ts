import type { ExecutionContext } from 'ava';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { type AuthServer, EMAIL, PASSWORD, startAuth } from '../auth/sessions/support.ts';
import { openPage } from '../support/browser/browser.ts';
import * as people from '../support/browser/people.ts';
import { SQLITE } from '../support/storage/storage.ts';

export type Scene = { server: AuthServer; page: Page };

/** A server with one account, and a browser. */
export async function startScene(
  t: ExecutionContext,
  env: Record<string, string> = {},
  view: BrowserContextOptions = {},
): Promise<Scene> {
  const server = await startAuth(t, SQLITE, env);
  const page = await openPage(t, [server.base], view);
  return { server, page };
}

/** As the owner of the server's account, by default. */
export function fillSignIn(page: Page, email = EMAIL, password = PASSWORD): Promise<void> {
  return people.fillSignIn(page, email, password);
}

/** Ends on the page of the account. */
export function signIn(page: Page, base: string, email = EMAIL, password = PASSWORD): Promise<void> {
  return people.signIn(page, base, email, password);
}

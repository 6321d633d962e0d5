import { setTimeout as sleep } from 'node:timers/promises';
import type { Locator, Page } from 'playwright-core';
import { remember } from '../process/leaks.ts';

// What a person does on the pages of an account, and sees there.

export const button = (page: Page, name: string | RegExp): Locator => page.getByRole('button', { name, exact: true });
export const heading = (page: Page, name: string): Locator => page.getByRole('heading', { name, exact: true });
export const link = (page: Page, name: string): Locator => page.getByRole('link', { name, exact: true });
/** The page of the account, once it has come. */
export const accountOn = (page: Page): Locator =>
  page.locator('#account').getByRole('heading', { name: 'Your account' });
/** A field is found as a screen reader does: by its label. */
export const field = (page: Page, name: string): Locator => page.getByRole('textbox', { name, exact: true });

export async function fillSignIn(page: Page, email: string, password: string): Promise<void> {
  await field(page, 'Email address').fill(email);
  await field(page, 'Password').fill(password);
  await button(page, 'Sign in').click();
}

/** Ends on the page of the account. */
export async function signIn(page: Page, base: string, email: string, password: string): Promise<void> {
  await page.goto(`${base}/signin`);
  await fillSignIn(page, email, password);
  await accountOn(page).waitFor();
}

/** What is written beside a field, and read out with it. */
export async function errorOf(locator: Locator): Promise<string> {
  const isInvalid = (await locator.getAttribute('aria-invalid')) === 'true';
  const ids = ((await locator.getAttribute('aria-describedby')) ?? '').split(' ').filter((id) => id.endsWith('-error'));
  const texts = await Promise.all(ids.map((id) => locator.page().locator(`#${id}`).textContent()));
  const text = texts.join('');
  if (isInvalid !== (text !== '')) throw new Error(`aria-invalid is ${isInvalid}, and the error is “${text}”`);
  return text;
}

/** Waits for a message that matches. */
export async function messageOf(page: Page, wanted: RegExp): Promise<string> {
  return (await page.getByRole('alert').filter({ hasText: wanted }).textContent()) ?? '';
}

const PATIENCE_MS = 15_000;

/** Polls until it finds something. What the tests have for that needs ava, and pictures are taken without. */
export async function waitUntilFound<T>(what: string, look: () => T | Promise<T>): Promise<NonNullable<T>> {
  for (const endAt = performance.now() + PATIENCE_MS; performance.now() < endAt; await sleep(10)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`waited in vain for ${what}`);
}

/** The link of the newest mail of this kind, which the server printed. */
export function mailedLink(server: { logged(): string }, kind: string): Promise<string> {
  const printed = new RegExp(`\\(${kind}\\), not sent without SMTP_URL: ([^\\s"]+)`, 'g');
  return waitUntilFound(`a mail of kind ${kind}`, () => [...server.logged().matchAll(printed)].at(-1)?.[1]);
}

export function isFocused(locator: Locator): Promise<boolean> {
  return locator.evaluate((element) => element.matches(':focus'));
}

/** The access token has expired, as the browser sees it. */
export async function dropAccessToken(page: Page): Promise<void> {
  await page.context().clearCookies({ name: /access_token$/ });
}

export async function cookieNames(page: Page): Promise<string[]> {
  const cookies = await page.context().cookies();
  for (const { value } of cookies) remember(value);
  return cookies.map(({ name }) => name).sort();
}

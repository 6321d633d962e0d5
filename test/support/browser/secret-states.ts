import type { Page } from 'playwright-core';
import { button, field, heading, link, messageOf, waitUntilFound } from './people.ts';
import { goOffline, type State } from './scene.ts';

// The pages of secrets and of requests, in the order of a visit. Most states need those before them.

const PICTURE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
const FILES = [
  { name: 'a certificate with a rather long name, for the department.pem', mimeType: '', buffer: Buffer.alloc(2345) },
  { name: 'picture.png', mimeType: 'image/png', buffer: PICTURE },
];

/** Creates a secret on the page. @returns its link. */
async function createLink(page: Page, base: string, secret: string, withFiles = false): Promise<string> {
  await page.goto(`${base}/`);
  await field(page, 'Secret').fill(secret);
  if (withFiles) await page.locator('input[type=file]').setInputFiles(FILES);
  await button(page, 'Create link').click();
  return field(page, 'Your link is ready').inputValue();
}

/** Asks for a secret on the page. @returns both links. */
async function askFor(page: Page, base: string, note: string): Promise<{ link: string; keepLink: string }> {
  await page.goto(`${base}/ask`);
  await field(page, 'What do you need? (optional)').fill(note);
  await button(page, 'Create the links').click();
  const link = await field(page, 'Link to send').inputValue();
  await button(page, 'Copy the private link').click(); // otherwise the browser warns before it leaves the page
  await page.getByText('Show the private link').click();
  return { link, keepLink: await field(page, 'Private link').inputValue() };
}

const NOTE = 'The password of the staging database, please.\nAnd the name of its user.';
let asked = { link: '', keepLink: '' };

const CREATING: Readonly<Record<string, State>> = {
  'create a secret': ({ page, server }) => page.goto(`${server.base}/`),
  'create: nothing is filled in': async ({ page }) => {
    await button(page, 'Create link').click();
    await messageOf(page, /./);
  },
  async 'create: everything is filled in'({ page }) {
    await field(page, 'Secret').fill('correct horse\nbattery staple');
    await page.locator('input[type=file]').setInputFiles(FILES);
    await button(page, 'Make one up').click();
    await page.locator('#phrase:focus').waitFor(); // once the words have come
  },
  'create: offline': ({ page }) =>
    goOffline(page, async () => {
      await button(page, 'Create link').click();
      await messageOf(page, /./);
    }),
  async 'create: the link is ready'({ page }) {
    await button(page, 'Create link').click();
    await heading(page, 'Your link is ready').waitFor();
  },
  async 'create: QR code and text'({ page }) {
    await button(page, 'QR code').click();
    await page.getByRole('img', { name: 'QR code of the link' }).waitFor();
    await page.getByText('A text to send along').click();
  },
};

const OPENING: Readonly<Record<string, State>> = {
  async 'a secret is waiting'({ page, server }) {
    const { secret_key } = await server.create({ secret: 'hello', phrase: 'blue' });
    await page.goto(`${server.base}/secrets/${secret_key}`);
  },
  async 'open: wrong phrase'({ page }) {
    await field(page, 'Phrase').fill('red');
    await button(page, 'Show the secret').click();
    await messageOf(page, /./);
  },
  async 'open: text'({ page, server }) {
    await page.goto(await createLink(page, server.base, 'correct horse\nbattery staple'));
    await button(page, 'Show the secret').click();
    await heading(page, 'Your secret').waitFor();
  },
  async 'open: files'({ page, server }) {
    await page.goto(await createLink(page, server.base, 'and a word', true));
    await button(page, 'Show the secret').click();
    await button(page, 'Preview picture.png').click();
    await page.getByRole('img', { name: 'Picture: picture.png' }).waitFor();
  },
  async 'open: spoilt link'({ page, server }) {
    const whole = await createLink(page, server.base, 'hello');
    await page.goto('about:blank');
    await page.goto(whole.slice(0, -1));
    await heading(page, 'This link is not complete').waitFor();
  },
  async 'open: read here'({ page, server }) {
    const whole = await createLink(page, server.base, 'hello');
    await page.goto(whole);
    const kept = () => page.evaluate("localStorage.getItem('hushbox.read')");
    const before = await kept();
    await button(page, 'Show the secret').click();
    await heading(page, 'Your secret').waitFor();
    await waitUntilFound('what this browser keeps', async () => (await kept()) !== before); // leaving the page ends it
    await page.goto(whole);
    await heading(page, 'The secret was shown here').waitFor();
  },
  async 'open: gone'({ page, server }) {
    await page.goto(`${server.base}/secrets/${'A'.repeat(48)}`);
    await heading(page, 'There is no secret here').waitFor();
  },
};

const FOLLOWING: Readonly<Record<string, State>> = {
  async 'follow: waiting'({ page, server }) {
    const { secret_key, receipt_key } = await server.create({ secret: 'hello', phrase: 'blue', receipt: true });
    await server.post(`/secrets/${secret_key}`, { phrase: 'red' });
    await page.goto(`${server.base}/receipts/${receipt_key}`);
  },
  async 'follow: burned'({ page }) {
    await button(page, 'Burn it').click();
    await page.locator('#state[data-state=burned]').waitFor();
  },
  async 'follow: read twice'({ page, server }) {
    const { secret_key, receipt_key } = await server.create({ secret: 'hello', receipt: true });
    const again = { 'idempotency-key': 'the same reader with the same key' };
    for (const _time of ['first', 'second']) await server.post(`/secrets/${secret_key}`, {}, again);
    await page.goto(`${server.base}/receipts/${receipt_key}`);
    await page.getByText('Times handed over: 2').waitFor();
  },
  'follow: nothing': ({ page, server }) => page.goto(`${server.base}/receipts/receipt_nothing`),
};

const ASKING: Readonly<Record<string, State>> = {
  ask: ({ page, server }) => page.goto(`${server.base}/ask`),
  async 'ask: the note is too long'({ page }) {
    await field(page, 'What do you need? (optional)').fill('x'.repeat(501));
    await button(page, 'Create the links').click();
    await page.getByText('At most 500 characters fit.').waitFor();
  },
  'ask: offline': ({ page }) =>
    goOffline(page, async () => {
      await field(page, 'What do you need? (optional)').fill(NOTE);
      await button(page, 'Create the links').click();
      await messageOf(page, /./);
    }),
  async 'ask: two links'({ page, server }) {
    asked = await askFor(page, server.base, NOTE);
    await button(page, 'QR code').click();
    await page.getByRole('img', { name: 'QR code of the link' }).waitFor();
  },
  async 'ask: withdrawn'({ page }) {
    await button(page, 'Withdraw the request').click();
    await page.getByText('Neither link works any more.').waitFor();
  },
  async 'the private link, early'({ page, server }) {
    asked = await askFor(page, server.base, NOTE);
    await page.goto(asked.keepLink);
    await heading(page, 'Nothing is filled in yet').waitFor();
  },
  async answer({ page }) {
    await page.goto(asked.link);
    await page.locator('#answer .main:enabled').waitFor();
  },
  async 'answer: filled in'({ page }) {
    await field(page, 'Secret').fill('postgres://staging@db.internal/main');
    await page.locator('input[type=file]').setInputFiles(FILES);
  },
  async 'answer: somebody else was faster'({ page }) {
    const other = await page.context().newPage();
    await other.goto(asked.link);
    await field(other, 'Secret').fill('the other answer');
    await button(other, 'Send it').click();
    await heading(other, 'Sent').waitFor();
    await other.close();
    await button(page, 'Send it').click();
    await heading(page, 'This request is already closed').waitFor();
  },
  async 'answer: no open request'({ page }) {
    await page.reload();
    await heading(page, 'There is no open request here').waitFor();
  },
  async 'answer: spoilt link'({ page, server }) {
    asked = await askFor(page, server.base, '');
    await page.goto(asked.link.replace(/#.*/, ''));
    await heading(page, 'This link is not complete').waitFor();
  },
  async 'answer: sent'({ page }) {
    await page.goto('about:blank');
    await page.goto(asked.link);
    await field(page, 'Secret').fill('hello');
    await button(page, 'Send it').click();
    await link(page, 'Follow what happens').waitFor();
  },
};

export const SECRET_STATES: Readonly<Record<string, State>> = { ...CREATING, ...OPENING, ...FOLLOWING, ...ASKING };

import type { ExecutionContext } from 'ava';
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import type { Samples } from '../../src/ops/metrics/families.ts';
import { browserTest, openPage } from '../support/browser/browser.ts';
import { startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

const STARTED_AT = Date.UTC(2066, 0, 1, 12);

type Scene = { server: TestServer; page: Page };

/** A server whose status page is open. */
async function start(
  t: ExecutionContext,
  options: Omit<TestServerOptions, 'place'> = {},
  view: BrowserContextOptions = {},
): Promise<Scene> {
  const server = await startServer(t, { place: await SQLITE.place(t), ...options });
  const page = await openPage(t, [server.base], view);
  await page.goto(`${server.base}/status`);
  return { server, page };
}

function totalsOf(startedAt: number, requests: number): Samples {
  const count = requests === 0 ? {} : { 'GET / 200': [requests] };
  return { hushbox_start_time_seconds: { '': [startedAt / 1000] }, hushbox_http_requests_total: count };
}

const requestsOn = (page: Page): Locator => page.locator('#requests');
const uptimeOn = (page: Page): Locator => page.locator('#uptime');
const rateOn = (page: Page): Locator => page.locator('#rate');

browserTest('the figures are kept up to date without loading the page again', async (t) => {
  const { server, page } = await start(t);
  await page.evaluate('window.isFirst = true');
  for (let n = 0; n < 60; n++) await server.get('/health/live');
  server.clock.advance({ days: 1, seconds: 1 });
  await requestsOn(page)
    .filter({ hasText: /^(6[1-9]|[7-9]\d|\d{3,})$/ })
    .waitFor();
  await uptimeOn(page).filter({ hasText: '1 d 00:00:01' }).waitFor();
  t.regex((await page.locator('#chart .line').getAttribute('d')) ?? '', /^M/);
  t.regex((await rateOn(page).textContent()) ?? '', /^\d+$/);
  t.regex((await page.getByRole('time').textContent()) ?? '', /2066/);
  t.true(await page.evaluate('window.isFirst'));
});

browserTest('a service that is away is reported once, with the last figures; and again when it is back', async (t) => {
  const { page } = await start(t, { readTotals: async () => totalsOf(STARTED_AT, 12_345) });
  await page.getByRole('figure').waitFor();
  await page.evaluate(`window.said = []; new MutationObserver(() => said.push(document.querySelector('[role=status]').textContent))
    .observe(document.querySelector('[role=status]'), { childList: true, characterData: true, subtree: true })`);
  await page.context().setOffline(true);
  await page.getByText('The service does not answer').waitFor();
  t.is(await requestsOn(page).textContent(), '12,345');
  for (const _ of ['it asks again', 'and again']) await page.waitForEvent('requestfailed');
  await page.context().setOffline(false);
  await page.getByText('The service answers.').waitFor();
  t.deepEqual(await page.evaluate('said'), ['The service does not answer. Trying again…', 'The service answers.']);
});

browserTest('after a restart the page continues with the figures of the new program', async (t) => {
  let totals = totalsOf(STARTED_AT, 5_000);
  const { page } = await start(t, { readTotals: async () => totals });
  await page.getByRole('figure').waitFor();
  totals = totalsOf(STARTED_AT + 60_000, 3);
  await requestsOn(page).filter({ hasText: /^3$/ }).waitFor();
  t.is(await page.getByRole('time').getAttribute('datetime'), '2066-01-01T12:01:00.000Z');
  await rateOn(page).filter({ hasText: /^0$/ }).waitFor();
});

browserTest('without JavaScript the page has the same figures, and the browser loads it again', async (t) => {
  let requests = 5_000;
  const readTotals = async (): Promise<Samples> => totalsOf(STARTED_AT, requests);
  const { page } = await start(t, { readTotals }, { javaScriptEnabled: false });
  t.is(await requestsOn(page).textContent(), '5,000');
  t.is(await uptimeOn(page).textContent(), '00:00:00');
  requests += 1;
  await requestsOn(page).filter({ hasText: '5,001' }).waitFor();
});

browserTest('the page fits a narrow screen, however large its figures', async (t) => {
  const narrow = { viewport: { width: 320, height: 640 }, deviceScaleFactor: 1, isMobile: true };
  const { server, page } = await start(t, { readTotals: async () => totalsOf(STARTED_AT, 123_456_789_012) }, narrow);
  server.clock.advance({ days: 4_000 });
  await page.reload();
  await page.getByRole('figure').waitFor();
  t.true(await page.evaluate('document.documentElement.scrollWidth <= 320'));
});

browserTest('the page to create a secret links to it', async (t) => {
  const { server, page } = await start(t);
  await page.goto(`${server.base}/`);
  await page.getByRole('link', { name: 'Status' }).click();
  await page.getByRole('heading', { name: 'Status' }).waitFor();
  t.is(page.url(), `${server.base}/status`);
});

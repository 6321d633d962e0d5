import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext, type TestFn } from 'ava';
import type { Samples } from '../../src/ops/metrics/families.ts';
import { type Browser, chromiumPath, type Page, startBrowser } from '../support/browser/browser.ts';
import { startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

// Without a Chromium, visible skips.
const browserTest = (chromiumPath ? test.serial : test.serial.skip) as TestFn;
let browser: Browser;

test.before(async () => {
  if (chromiumPath) browser = await startBrowser();
});
test.after.always(() => browser?.close());

const STARTED_AT = Date.UTC(2066, 0, 1, 12);
const textIn = (selector: string): string => `document.querySelector('${selector}').textContent`;
const stateIs = (state: string): string => `document.querySelector('#state').dataset.state === '${state}'`;

type Scene = { server: TestServer; page: Page };

async function start(t: ExecutionContext, options: Omit<TestServerOptions, 'place'> = {}): Promise<Scene> {
  return { server: await startServer(t, { place: await SQLITE.place(t), ...options }), page: await browser.newPage() };
}

function totalsOf(startedAt: number, requests: number): Samples {
  const count = requests === 0 ? {} : { 'GET / 200': [requests] };
  return { hushbox_start_time_seconds: { '': [startedAt / 1000] }, hushbox_http_requests_total: count };
}

browserTest('the figures follow by themselves, without the page being loaded again', async (t) => {
  const { server, page } = await start(t);
  await page.open(`${server.base}/status`);
  await page.evaluate('window.isFirst = true');
  for (let n = 0; n < 60; n++) await server.get('/health/live');
  server.clock.advance({ days: 1, seconds: 1 });
  await page.until(`Number(${textIn('#requests')}) > 60`);
  await page.until(`${textIn('#uptime')} === '1 d 00:00:01'`);
  await page.until(`document.querySelector('#chart .line').getAttribute('d')?.startsWith('M')`);
  t.regex(await page.evaluate(textIn('#rate')), /^\d+$/);
  t.regex(await page.evaluate(textIn('time')), /2066/);
  t.true(await page.evaluate('window.isFirst'));
  t.deepEqual(page.complaints, []);
});

browserTest('a service that does not answer is told, once, with the last figures; and when it is back', async (t) => {
  const { server, page } = await start(t, { readTotals: async () => totalsOf(STARTED_AT, 12_345) });
  await page.send('Network.enable');
  await page.open(`${server.base}/status`);
  const offline = (isOffline: boolean): Promise<object> =>
    page.send('Network.emulateNetworkConditions', {
      offline: isOffline,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: -1,
    });
  await page.until(`document.querySelector('#chart').checkVisibility()`);
  await page.evaluate(`window.said = []; new MutationObserver(() => said.push(${textIn('#state')}))
    .observe(document.querySelector('#state'), { childList: true, characterData: true, subtree: true })`);
  await offline(true);
  await page.until(stateIs('away'));
  t.is(await page.evaluate(textIn('#requests')), '12,345');
  await sleep(2_500); // it goes on asking
  await offline(false);
  await page.until(stateIs('up'));
  t.deepEqual(await page.evaluate('said'), ['The service does not answer. Trying again…', 'The service answers.']);
});

browserTest('after a restart the page goes on with the figures of the new program', async (t) => {
  let totals = totalsOf(STARTED_AT, 5_000);
  const { server, page } = await start(t, { readTotals: async () => totals });
  await page.open(`${server.base}/status`);
  await page.until(`document.querySelector('#chart').checkVisibility()`);
  totals = totalsOf(STARTED_AT + 60_000, 3);
  await page.until(`${textIn('#requests')} === '3'`);
  t.is(await page.evaluate(`document.querySelector('time').dateTime`), '2066-01-01T12:01:00.000Z');
  await page.until(`${textIn('#rate')} === '0'`);
  t.deepEqual(page.complaints, []);
});

browserTest('without JavaScript the page has the same figures, and is loaded again by the browser', async (t) => {
  let requests = 5_000;
  const { server, page } = await start(t, { readTotals: async () => totalsOf(STARTED_AT, requests) });
  await page.send('Emulation.setScriptExecutionDisabled', { value: true });
  await page.open(`${server.base}/status`);
  t.is(await page.evaluate(textIn('#requests')), '5,000');
  t.is(await page.evaluate(textIn('#uptime')), '00:00:00');
  requests += 1;
  await page.until(`${textIn('#requests')} === '5,001'`);
});

browserTest('the page fits a narrow screen, however large its figures', async (t) => {
  const { server, page } = await start(t, { readTotals: async () => totalsOf(STARTED_AT, 123_456_789_012) });
  server.clock.advance({ days: 4_000 });
  await page.send('Emulation.setDeviceMetricsOverride', {
    width: 320,
    height: 640,
    deviceScaleFactor: 1,
    mobile: true,
  });
  await page.open(`${server.base}/status`);
  await page.until(`document.querySelector('#chart').checkVisibility()`);
  t.true(await page.evaluate('document.documentElement.scrollWidth <= 320'));
});

browserTest('the page to create a secret leads to it', async (t) => {
  const { server, page } = await start(t);
  await page.open(`${server.base}/`);
  await page.click('footer a[href="status"]');
  await page.until(`location.pathname === '/status' && ${textIn('h1')} === 'Status'`);
  t.deepEqual(page.complaints, []);
});

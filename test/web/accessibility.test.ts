import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import type { AxeResults } from 'axe-core';
import type { BrowserContextOptions } from 'playwright-core';
import { listAddresses } from '../support/browser/addresses.ts';
import { browserTest } from '../support/browser/browser.ts';
import { visitStates } from '../support/browser/states.ts';
import { type Scene, startScene } from './account-support.ts';

const AXE = readFileSync('node_modules/axe-core/axe.min.js', 'utf8');

async function judge(t: ExecutionContext, { page }: Scene, name: string): Promise<void> {
  await page.evaluate(AXE);
  const { violations, passes } = (await page.evaluate('axe.run()')) as AxeResults;
  t.true(passes.length > 10, name);
  t.deepEqual(
    violations.map(({ id, nodes }) => `${name}: ${id}: ${nodes.map(({ html }) => html).join(' ')}`),
    [],
  );
  t.true(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), `${name} fits`);
}

for (const width of [390, 1280]) {
  for (const colorScheme of ['light', 'dark'] as const) {
    browserTest(`axe finds nothing on any page, in any state, at ${width} px, ${colorScheme}`, async (t) => {
      t.timeout(180_000);
      const view: BrowserContextOptions = { viewport: { width, height: 800 }, colorScheme, reducedMotion: 'reduce' };
      const scene = await startScene(t, {}, view);
      await visitStates(scene, (name) => judge(t, scene, name));
    });
  }
}

browserTest('axe finds nothing in the API reference', async (t) => {
  t.timeout(120_000);
  const scene = await startScene(t, {}, { viewport: { width: 390, height: 800 }, colorScheme: 'dark' });
  await scene.page.goto(`${scene.server.base}/docs/`, { waitUntil: 'networkidle' });
  await judge(t, scene, 'reference');
  await scene.page.getByText('Contents').click();
  await judge(t, scene, 'reference: its contents');
  await scene.page.getByRole('link', { name: 'POST /generate' }).first().click();
  t.true(scene.page.url().endsWith('/docs/#createSecret'));
});

/** Words that are the same in Russian. */
const NAMES =
  /\b(Hushbox|JavaScript|HTTPS?|API|English|name@example\.com|curl|ADDRESS|LINK|open|hushbox)\b|'\{.*\}'|POST/g;

browserTest('in Russian every page speaks Russian alone, fits, and axe finds nothing', async (t) => {
  t.timeout(180_000);
  const scene = await startScene(t, {}, { viewport: { width: 390, height: 800 }, locale: 'ru-RU' });
  for (const [name, path] of Object.entries(await listAddresses(scene.server))) {
    await scene.page.goto(scene.server.base + path, { waitUntil: 'networkidle' });
    await judge(t, scene, name);
    t.is(await scene.page.locator('html').getAttribute('lang'), 'ru', name);
    // biome-ignore lint/performance/useDomNodeTextContent: only what is seen counts
    const words = (await scene.page.locator('main').innerText()).replaceAll(NAMES, '');
    t.deepEqual(words.match(/[a-z]{2,}/gi), null, name);
  }
});

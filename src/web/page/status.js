// The status page: asks for new figures while it is visible.

import { ask, find, formatInstant, language, root, say, sleep } from './page.js';

const PERIOD_MS = 1_000;
/** After this time without an answer, the service counts as unavailable. */
const PATIENCE_MS = 5_000;
/** The chart's length and height, as its viewBox has them. */
const SECONDS = 60;
const HEIGHT = 20;
/** Room for the line at the top. */
const TOP = 1;

const numbers = new Intl.NumberFormat(language);
const state = find('#state', HTMLElement);
const section = find('#status', HTMLElement);
const time = find('time', HTMLTimeElement);

/** The last answers, each with the instant at which it came. @type {{ at: number, requests: number }[]} */
let answers = [];

for (;;) {
  await untilVisible();
  const startedAt = performance.now();
  show(await ask('GET', new URL('status', root), { timeoutMs: PATIENCE_MS }));
  await sleep(Math.max(0, PERIOD_MS - (performance.now() - startedAt)));
}

async function untilVisible() {
  if (!document.hidden) return;
  await new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
  answers = []; // nobody asked meanwhile
}

/** @param {import('./page.js').Answer} answer */
function show({ status, body }) {
  const { started_at: startedAt, uptime_seconds: seconds, requests } = body;
  if (status !== 200 || typeof requests !== 'number') {
    report('away', say(status === 0 ? 'statusSilent' : 'statusAway'));
    return;
  }
  report('up', say('statusUp'));
  find('#requests', HTMLElement).textContent = numbers.format(requests);
  find('#uptime', HTMLElement).textContent = durationText(seconds);
  if (time.dateTime !== startedAt || answers.length === 0) {
    answers = []; // the program was restarted and counts from zero
    time.dateTime = startedAt;
    time.textContent = formatInstant(startedAt);
  }
  answers.push({ at: performance.now(), requests });
  draw();
}

/**
 * @param {'up' | 'away'} name
 * @param {string} text
 */
function report(name, text) {
  section.dataset.state = name;
  state.dataset.state = name;
  if (state.textContent !== text) state.textContent = text; // otherwise screen readers would announce it each time
}

/** @param {number} seconds */
function durationText(seconds) {
  const days = Math.floor(seconds / 86_400);
  const rest = new Date((seconds % 86_400) * 1000).toISOString().slice(11, 19);
  return days === 0 ? rest : `${days} d ${rest}`;
}

function draw() {
  answers = answers.slice(-SECONDS - 1);
  const now = answers.at(-1)?.at ?? 0;
  const points = answers.slice(1).map(({ at, requests }, index) => {
    const before = /** @type {{ at: number, requests: number }} */ (answers[index]);
    // One of them is our own.
    const rate = Math.max(0, requests - before.requests - 1) / ((at - before.at) / 1000);
    return { x: SECONDS - (now - at) / 1000, rate };
  });
  const [first] = points;
  const last = points.at(-1);
  if (!first || !last) return;
  const highest = Math.max(1, ...points.map(({ rate }) => rate));
  const line = points.map(
    ({ x, rate }) => `${x.toFixed(2)} ${(HEIGHT - (rate / highest) * (HEIGHT - TOP)).toFixed(2)}`,
  );
  find('#chart .line', SVGPathElement).setAttribute('d', `M${line.join('L')}`);
  find('#chart .area', SVGPathElement).setAttribute(
    'd',
    `M${first.x.toFixed(2)} ${HEIGHT}L${line.join('L')}L${last.x} ${HEIGHT}Z`,
  );
  find('#rate', HTMLElement).textContent = numbers.format(Math.round(last.rate));
  find('#chart', HTMLElement).hidden = false;
}

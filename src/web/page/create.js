import { ask, find, formatInstant, offerCopy, root, say as sayText, showSection, sleep } from './page.js';

const LIFETIMES_MINUTES = [10, 60, 12 * 60, 1440, 3 * 1440, 7 * 1440, 30 * 1440, 90 * 1440, 365 * 1440];
const USUAL_LIFETIME_MINUTES = 7 * 1440;
const FIRST_LOOK_MS = 3_000;
const LONGEST_PAUSE_MS = 60_000;

const { publicUrl, secretMaxBytes, ttlMaxSeconds } = document.body.dataset;
const form = find('form', HTMLFormElement);
const button = find('form button', HTMLButtonElement);
const message = find('#message', HTMLElement);
const secret = find('#secret', HTMLTextAreaElement);
const phrase = find('#phrase', HTMLInputElement);
const blankHint = find('#blank-hint', HTMLElement);
const lifetime = find('#lifetime', HTMLSelectElement);
const token = /** @type {HTMLInputElement | null} */ (document.querySelector('#token'));
const link = find('#link', HTMLTextAreaElement);
const state = find('#state', HTMLElement);
const burn = find('#burn', HTMLButtonElement);

/** Of the link on screen. */
let receiptKey = '';

fillLifetimes(Math.floor(Number(ttlMaxSeconds) / 60));
find('.no-script', HTMLElement).hidden = true;
button.disabled = false;
offerCopy(link, () => link.value);

secret.addEventListener('input', () => {
  const isTooLong = new TextEncoder().encode(secret.value).length > Number(secretMaxBytes);
  secret.setCustomValidity(isTooLong ? `At most ${secretMaxBytes} bytes fit.` : '');
});

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  button.disabled = true;
  message.textContent = '';
  const answer = await create().catch(() => undefined);
  button.disabled = false;
  if (!answer) message.textContent = sayText('tooOld');
  else if (answer.status === 201) showLink(answer.body);
  else message.textContent = answer.body.Error ? `${answer.body.Error}.` : 'No answer came. Please try again.';
});

phrase.addEventListener('input', () => {
  blankHint.hidden = phrase.value === phrase.value.trim();
});

async function create() {
  return ask('POST', new URL('generate', root), {
    json: {
      secret: secret.value,
      ...(phrase.value !== '' && { phrase: phrase.value }),
      ttl: { minutes: Number(lifetime.value) },
      receipt: true,
    },
    headers: token ? { authorization: `Bearer ${token.value}` } : {},
  });
}

burn.addEventListener('click', async () => {
  if (!confirm('Burn the secret? The link will stop working.')) return;
  burn.disabled = true;
  const { status } = await ask('DELETE', new URL(`receipts/${receiptKey}`, root));
  burn.disabled = false;
  if (status === 204 || status === 409) await look();
  else state.textContent = 'The secret could not be burned. Please try again.';
});

find('#another', HTMLButtonElement).addEventListener('click', () => {
  receiptKey = '';
  showSection('new');
  secret.focus();
});

/** @param {Record<string, any>} created */
function showLink(created) {
  const base = publicUrl || root.href.replace(/\/$/, '');
  link.value = `${base}/secrets/${created.secret_key}`;
  find('#created time', HTMLTimeElement).textContent = formatInstant(created.expires_at);
  find('#phrase-reminder', HTMLElement).hidden = phrase.value === '';
  find('#copy-note', HTMLElement).textContent = '';
  showState({ state: 'waiting', wrong_tries: 0 });
  secret.value = '';
  phrase.value = '';
  blankHint.hidden = true;
  showSection('created');
  receiptKey = created.receipt_key;
  void watch(receiptKey);
}

/**
 * Looks at growing intervals until the state is final.
 * @param {string} watched
 */
async function watch(watched) {
  for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    await sleep(pauseMs);
    if (watched !== receiptKey) return;
    if (!document.hidden && !(await look())) return;
  }
}

// Who comes back to the page sees what is true now.
document.addEventListener('visibilitychange', refresh);
addEventListener('focus', refresh);

function refresh() {
  if (!document.hidden && receiptKey !== '' && state.dataset.state === 'waiting') void look();
}

/** @returns {Promise<boolean>} whether the secret may still be waiting */
async function look() {
  const asked = receiptKey;
  const { status, body } = await ask('GET', new URL(`receipts/${asked}`, root));
  if (asked !== receiptKey) return true;
  if (status !== 200) return status !== 404;
  showState(body);
  return body.state === 'waiting';
}

/** @param {Record<string, any>} receipt */
function showState(receipt) {
  state.dataset.state = receipt.state;
  state.textContent = describe(receipt);
  burn.hidden = receipt.state !== 'waiting';
}

/** @param {Record<string, any>} receipt */
function describe({ state, ended_at, wrong_tries }) {
  if (state === 'read') return `Read: ${formatInstant(ended_at)}.`;
  if (state === 'burned') return 'Burned: the link no longer works.';
  if (state === 'expired') return 'Expired unread.';
  return wrong_tries > 0 ? `Not read yet. Wrong phrases tried: ${wrong_tries}.` : 'Not read yet.';
}

/** @param {number} maxMinutes */
function fillLifetimes(maxMinutes) {
  const choices = LIFETIMES_MINUTES.filter((minutes) => minutes < maxMinutes);
  for (const minutes of [...choices, maxMinutes]) {
    const isUsual = minutes <= USUAL_LIFETIME_MINUTES;
    lifetime.add(new Option(formatLifetime(minutes), String(minutes), isUsual, isUsual));
  }
}

/** @param {number} minutes */
function formatLifetime(minutes) {
  const parts = [
    [Math.floor(minutes / 1440), 'day'],
    [Math.floor(minutes / 60) % 24, 'hour'],
    [minutes % 60, 'minute'],
  ];
  return parts
    .filter(([count]) => count !== 0)
    .map(([count, unit]) => `${count} ${unit}${count === 1 ? '' : 's'}`)
    .join(' ');
}

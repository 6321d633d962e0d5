import { ask, find, formatInstant, offerCopy, root, say as sayText, showSection, sleep } from './page.js';

const AUTOMATIC_RETRY_MAX_SECONDS = 5;

const address = location.origin + location.pathname; // a path that begins with two slashes alone would name a host
// One for each page view: with it a lost answer can be fetched again for a minute.
const idempotencyKey = Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) =>
  byte.toString(16).padStart(2, '0'),
).join('');

const form = find('form', HTMLFormElement);
const button = find('form button', HTMLButtonElement);
const message = find('#message', HTMLElement);
const field = find('#secret', HTMLTextAreaElement);
const expiry = find('time', HTMLTimeElement);
const phrase = /** @type {HTMLInputElement | null} */ (document.querySelector('#phrase'));

let secret = '';
let wasAnswerLost = false;

expiry.textContent = formatInstant(expiry.dateTime);
find('.no-script', HTMLElement).hidden = true;
button.disabled = false;
offerCopy(field, () => secret);

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  button.disabled = true;
  button.textContent = 'One moment…';
  say('');
  const answer = await readTwiceAtMost().catch(() => undefined);
  button.textContent = 'Show the secret';
  button.disabled = false;
  if (answer) show(answer);
  else say(sayText('tooOld'));
});

// A page that the browser keeps for the Back button would still hold the secret.
addEventListener('pagehide', () => {
  secret = '';
  field.value = '';
});
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload();
});

async function readTwiceAtMost() {
  const first = await read();
  if (!isLost(first)) return first;
  await sleep(Math.min(first.retryAfterSeconds || 1, AUTOMATIC_RETRY_MAX_SECONDS) * 1000);
  return read();
}

async function read() {
  const answer = await ask('POST', address, {
    json: phrase ? { phrase: phrase.value } : {},
    headers: { 'idempotency-key': idempotencyKey },
  });
  if (mayHaveRead(answer)) wasAnswerLost = true;
  return answer;
}

/**
 * An error with a code means that nothing was read, except STORAGE_UNAVAILABLE, where nobody knows.
 * @param {import('./page.js').Answer} answer
 */
function mayHaveRead(answer) {
  return isLost(answer) && (answer.body.code === undefined || answer.body.code === 'STORAGE_UNAVAILABLE');
}

/** @param {import('./page.js').Answer} answer */
function isLost({ status, body }) {
  return status === 0 || status >= 500 || (status === 200 && typeof body.secret !== 'string');
}

/** @param {import('./page.js').Answer} answer */
function show(answer) {
  const { status, body, retryAfterSeconds } = answer;
  if (isLost(answer)) {
    button.textContent = 'Try again';
    say(
      `${body.Error ?? 'No answer came'}. Stay on this page and try again: a lost answer can be fetched again for a minute.`,
    );
    button.focus();
  } else if (status === 200) showSecret(body.secret);
  else if (body.code === 'KEY_NOT_FOUND') showGone();
  else if (body.code === 'WRONG_PHRASE') askForPhraseAgain(body.tries_left);
  else if (status === 429)
    say(`${body.Error}. Try again after ${formatInstant(Date.now() + retryAfterSeconds * 1000)}.`);
  else say(`${body.Error ?? 'That did not work'}.`);
}

/** @param {string} text */
function showSecret(text) {
  secret = text;
  field.value = text;
  field.rows = Math.min(text.split('\n').length + 1, 16);
  showSection('shown');
  document.title = 'Your secret · Hushbox';
  // The link no longer works, so it need not stay in the address bar. After a reload, this address says what happened.
  history.replaceState(null, '', new URL('secrets/read', root));
}

function showGone() {
  if (!wasAnswerLost) return location.reload(); // shows the page that says so
  button.hidden = true;
  say(
    'The secret is gone. The answer was probably lost on its way here, and the minute to fetch it again is over. Please ask for a new one.',
  );
}

/** @param {number} triesLeft */
function askForPhraseAgain(triesLeft) {
  const tries = triesLeft === 1 ? 'one try is' : `${triesLeft} tries are`;
  const isPadded = phrase !== null && phrase.value !== phrase.value.trim();
  say(
    (triesLeft > 0
      ? `Incorrect phrase: ${tries} left.`
      : 'Incorrect phrase, and no try is left for now. One comes back every hour.') +
      (isPadded ? ' It begins or ends with a blank: if you copied it, try without.' : ''),
  );
  phrase?.setAttribute('aria-invalid', 'true');
  phrase?.select();
}

/** @param {string} text */
function say(text) {
  message.textContent = text;
}

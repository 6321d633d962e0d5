// The page to create a secret. What is typed is sealed here, and leaves the page sealed.

import {
  clearContent,
  faultOfContent,
  hideProgress,
  loadClient,
  progressOfContent,
  readContent,
  secret,
  takeFiles,
} from './content.js';
import {
  canSeal,
  explainError,
  fillLifetimes,
  find,
  formatInstant,
  offerCopy,
  root,
  say,
  showSection,
  toPublic,
  watch,
  whileBusy,
} from './page.js';

const { ttlMaxSeconds } = document.body.dataset;
const form = find('form', HTMLFormElement);
const button = find('form .main', HTMLButtonElement);
const message = find('#message', HTMLElement);
const phrase = find('#phrase', HTMLInputElement);
const blankHint = find('#blank-hint', HTMLElement);
const lifetime = find('#lifetime', HTMLSelectElement);
const token = /** @type {HTMLInputElement | null} */ (document.querySelector('#token'));
const keep = find('#keep', HTMLInputElement);
const link = find('#link', HTMLTextAreaElement);
const words = find('#words', HTMLElement);
const wordsPanel = find('#words-panel', HTMLDetailsElement);
const state = find('#state', HTMLElement);
const burn = find('#burn', HTMLButtonElement);
const qr = find('#qr', HTMLElement);
const qrButton = find('#show-qr', HTMLButtonElement);

/** Of the link on screen. */
let receiptKey = '';
let textToSend = '';

async function openClient() {
  const { Hushbox } = await loadClient();
  return new Hushbox(root, { token: token?.value || undefined });
}

fillLifetimes(lifetime, Number(ttlMaxSeconds));
find('.no-script', HTMLElement).hidden = true;
find('#plain', HTMLElement).hidden = canSeal;
find('#sealed-lead', HTMLElement).hidden = !canSeal;
if (canSeal) takeFiles();
button.disabled = false;
offerCopy('copy', find('#copy-note', HTMLElement), link, () => link.value);
offerCopy('copy-words', find('#words-note', HTMLElement), words, () => textToSend);

form.noValidate = true; // the browser's own words would vanish
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  message.textContent = '';
  const fault = faultOf();
  if (fault) return complain(fault.sentence, fault.field);
  await whileBusy(button, async () => {
    const hasPhrase = phrase.value !== '';
    try {
      await showLink(await create(), hasPhrase);
    } catch (error) {
      if (token && /** @type {{ code?: string }} */ (error).code === 'UNAUTHORIZED')
        complain(say('createTokenWrong'), token);
      else message.textContent = explainError(error);
    } finally {
      hideProgress();
    }
  });
});

/** What the server would refuse. */
function faultOf() {
  const sentence = faultOfContent();
  if (sentence) return { field: secret, sentence };
  return token?.value === '' ? { field: token, sentence: say('createTokenWrong') } : undefined;
}

/**
 * @param {string} sentence
 * @param {HTMLElement} field
 */
function complain(sentence, field) {
  message.textContent = sentence;
  field.setAttribute('aria-invalid', 'true');
  field.focus();
}

for (const field of [secret, phrase, ...(token ? [token] : [])]) {
  field.addEventListener('input', () => {
    field.removeAttribute('aria-invalid');
    message.textContent = '';
  });
}

async function create() {
  const client = await openClient();
  return client.send(await readContent(), {
    phrase: phrase.value || undefined,
    ttl: { minutes: Number(lifetime.value) },
    receipt: true,
    plain: !canSeal,
    onProgress: progressOfContent(),
  });
}

phrase.addEventListener('input', showBlank);

function showBlank() {
  blankHint.textContent = phrase.value === phrase.value.trim() ? '' : say('createBlank');
}

find('#make-phrase', HTMLButtonElement).addEventListener('click', async () => {
  try {
    const { makePhrase } = await import('./phrase-words.js');
    phrase.value = await makePhrase();
    phrase.removeAttribute('aria-invalid');
    showBlank();
  } catch {
    blankHint.textContent = say('createNoPhrase');
  }
  phrase.focus();
});

/**
 * @param {import('./client/hushbox.ts').Sent} sent
 * @param {boolean} hasPhrase
 */
async function showLink(sent, hasPhrase) {
  link.defaultValue = toPublic(sent.link);
  const time = formatInstant(sent.expiresAt);
  find('#created time', HTMLTimeElement).textContent = time;
  find('#phrase-reminder', HTMLElement).hidden = !hasPhrase;
  find('#plain-reminder', HTMLElement).hidden = canSeal;
  textToSend = [
    say('createdMessageText', { link: link.value, time }),
    ...(hasPhrase ? [say('createdMessagePhrase')] : []),
  ].join('\n');
  showWords();
  for (const note of document.querySelectorAll('#created .note')) note.textContent = '';
  hideQr();
  receiptKey = sent.receiptKey ?? '';
  find('#receipt', HTMLAnchorElement).href = new URL(`receipts/${receiptKey}`, root).href;
  showState({ state: 'waiting', wrongTries: 0 });
  form.reset();
  clearContent();
  showBlank();
  showSection('created');
  const watched = receiptKey;
  void watch(async () => watched === receiptKey && (await look()));
  if (keep.checked) await remember(sent);
}

wordsPanel.addEventListener('toggle', showWords);

/** Only while somebody looks: the page holds the link once. */
function showWords() {
  words.textContent = wordsPanel.open ? textToSend : '';
}

qrButton.addEventListener('click', async () => {
  if (!qr.hidden) return hideQr();
  try {
    const { drawQr } = await import('./qr.js');
    qr.replaceChildren(drawQr(link.value, say('createdQrLabel')));
  } catch {
    qr.textContent = say('createdQrFailed');
  }
  qr.hidden = false;
  qrButton.setAttribute('aria-expanded', 'true');
});

function hideQr() {
  qr.hidden = true;
  qr.replaceChildren();
  qrButton.setAttribute('aria-expanded', 'false');
}

burn.addEventListener('click', async () => {
  if (!confirm(say('createdBurnAsk'))) return;
  burn.disabled = true;
  const burned = await openClient()
    .then((client) => client.burn(receiptKey))
    .catch((error) => error);
  burn.disabled = false;
  if (!burned || burned.status === 409) await look();
  else state.textContent = say('createdBurnFailed');
});

find('#another', HTMLButtonElement).addEventListener('click', () => {
  receiptKey = '';
  link.defaultValue = '';
  textToSend = '';
  showWords();
  showSection('new');
  secret.focus();
});

/** @returns {Promise<boolean>} whether the secret may still be waiting */
async function look() {
  const asked = receiptKey;
  try {
    const receipt = await (await openClient()).receipt(asked);
    if (asked !== receiptKey) return true;
    showState(receipt);
    return receipt.state === 'waiting';
  } catch (error) {
    return /** @type {{ code?: string }} */ (error).code !== 'KEY_NOT_FOUND';
  }
}

/** @typedef {{ state: string, wrongTries: number, endedAt?: string }} State */

/** @param {State} receipt */
function showState(receipt) {
  state.dataset.state = receipt.state;
  const sentence = describe(receipt);
  if (state.textContent !== sentence) state.textContent = sentence; // otherwise it would be read out each time
  burn.hidden = receipt.state !== 'waiting';
}

/** @param {State} receipt */
function describe({ state, endedAt, wrongTries }) {
  if (state === 'read') return say('createdRead', { time: formatInstant(endedAt ?? '') });
  if (state === 'burned') return say('createdBurned');
  if (state === 'expired') return say('createdExpired');
  return wrongTries > 0 ? say('createdWrongTries', { count: String(wrongTries) }) : say('createdWaiting');
}

// The list of what was sent, for people who want one.

const sentPanel = find('#sent', HTMLDetailsElement);
const sentList = find('#sent-list', HTMLUListElement);
const sentNote = find('#sent-note', HTMLElement);
const canKeep = readKeep() !== undefined;

keep.checked = readKeep() === true;
keep.defaultChecked = keep.checked; // a reset of the form leaves it as it is
find('#keep-choice', HTMLElement).hidden = !canKeep;
sentPanel.hidden = !keep.checked;

/** @returns {boolean | undefined} undefined where the browser keeps nothing */
function readKeep() {
  try {
    return localStorage.getItem('hushbox.keep') === 'true';
  } catch {
    return undefined;
  }
}

keep.addEventListener('change', () => {
  localStorage.setItem('hushbox.keep', String(keep.checked));
  keep.defaultChecked = keep.checked;
  sentPanel.hidden = !keep.checked;
});

sentPanel.addEventListener('toggle', () => {
  if (sentPanel.open) void showSent();
});

find('#forget', HTMLButtonElement).addEventListener('click', async () => {
  (await import('./kept.js')).forgetSent();
  await showSent();
  sentNote.textContent = say('keptForgotten');
});

/** @param {import('./client/hushbox.ts').Sent} sent */
async function remember({ receiptKey = '', expiresAt }) {
  const { keepSent } = await import('./kept.js');
  keepSent({ receipt: receiptKey, sentAt: Date.now(), expiresAt: Date.parse(expiresAt) });
  if (sentPanel.open) await showSent();
}

async function showSent() {
  sentNote.textContent = '';
  const { listSent } = await import('./kept.js');
  const sent = listSent();
  find('#sent-empty', HTMLElement).hidden = sent.length > 0;
  find('#forget', HTMLElement).hidden = sent.length === 0;
  const items = sent.map(({ receipt, sentAt }) => {
    const item = document.createElement('li');
    const anchor = document.createElement('a');
    anchor.href = new URL(`receipts/${receipt}`, root).href;
    anchor.textContent = say('keptAt', { time: formatInstant(sentAt) });
    const outcome = document.createElement('p');
    outcome.className = 'hint';
    item.append(anchor, outcome);
    return { item, outcome, receipt };
  });
  sentList.replaceChildren(...items.map(({ item }) => item));
  for (const { outcome, receipt } of items) {
    if (!sentPanel.open) return;
    outcome.textContent = await openClient()
      .then((client) => client.receipt(receipt))
      .then(describe, describeUnknown);
  }
}

/** @param {{ code?: string }} error */
function describeUnknown({ code }) {
  return say(code === 'KEY_NOT_FOUND' ? 'keptOver' : 'keptUnknown');
}

// The page of a link: says what will happen, reads on a press only, and lets nothing that was read get lost.

import { Hushbox, newIdempotencyKey, parseLink } from './client/hushbox.ts';
import { isKeyOf } from './client/sealing.ts';
import {
  canSeal,
  find,
  formatBytes,
  formatInstant,
  offerCopy,
  root,
  say,
  sayCount,
  showSection,
  sleep,
} from './page.js';

const SLOW_MS = 4_000;
const SHORT_WAIT_SECONDS = 5;

const { alg, kid } = document.body.dataset;
const isSealed = alg !== '';
/** How often this read was sent: what was sent more than once may have been lost on its way. */
let sent = 0;
let wasGone = false;
const hushbox = new Hushbox(root, {
  fetch: async (address, init) => {
    if (init?.method === 'POST') sent += 1;
    const response = await fetch(address, init);
    if (init?.method === 'GET') wasGone = response.status === 404;
    return response;
  },
});

const form = find('form', HTMLFormElement);
const button = find('form button', HTMLButtonElement);
const message = find('#message', HTMLElement);
const slow = find('#slow', HTMLElement);
const progress = find('#progress', HTMLProgressElement);
const expiry = find('time', HTMLTimeElement);
const phrase = /** @type {HTMLInputElement | null} */ (document.querySelector('#phrase'));

/** One for each visit: with it a lost answer can be fetched again for a minute. @type {string | undefined} */
let idempotencyKey;
let isBusy = false;
let isOver = false;
/** An answer was lost on its way: the secret may be read already, and then by nobody but this page. */
let wasCutOff = false;

find('#waiting .no-script', HTMLElement).hidden = true;
expiry.textContent = formatInstant(expiry.dateTime);
find('#seen', HTMLElement).hidden = history.state?.wasSeen !== true;
const plea = find('#plea', HTMLElement);
offerCopy('copy-plea', find('#plea-note', HTMLElement), plea, () => plea.textContent);

/** The link without what repeats slashes or ends with one. */
function linkOf() {
  const key = /([^/]*)\/*$/.exec(location.pathname)?.[1];
  return new URL(`secrets/${key}${location.hash}`, root).href;
}

/** Whether the link can open what is here. Nothing is asked for it, and nothing used up. */
async function check() {
  if (isBusy || isOver) return;
  const { hash } = location;
  const { fragment } = parseLink(linkOf());
  if ((isSealed || fragment) && !canSeal) return showSection('needs-https');
  const isRight = !isSealed || (fragment && (await isKeyOf(fragment, { alg, kid })));
  if (location.hash !== hash) return; // by now there is a check of another link
  if (!isRight) return showSection('spoilt');
  if (!isSealed && fragment) return showSection('untrusted');
  button.disabled = false;
  if (find('#waiting', HTMLElement).hidden) showSection('waiting');
}

function checkLink() {
  check().catch((error) => (error.code === 'SPOILT_LINK' ? showSection('spoilt') : fail(error)));
}

addEventListener('hashchange', checkLink); // another part after the # loads nothing again
checkLink();

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (isBusy) return;
  if (phrase?.value === '') return askForPhrase(say('openPhraseMissing'));
  begin();
  try {
    idempotencyKey ??= newIdempotencyKey();
    const link = linkOf();
    const options = { phrase: phrase?.value, idempotencyKey, onProgress: showProgress };
    showOpened(await hushbox.open(link, options).catch((error) => openAgain(error, link, options)));
    isOver = true;
    clearTimeout(timer);
    // The link no longer works, so it need not stay in the address bar. After a reload, this address says what happened.
    history.replaceState(null, '', new URL('secrets/read', root));
    const { keepRead } = await import('./kept.js');
    await keepRead(parseLink(link).key);
  } catch (error) {
    if (!isOver) await fail(/** @type {Error} */ (error));
  }
});

/**
 * Once more, if the server is only busy for a moment: it says so before it reads.
 * @param {Error & { status?: number, retryAfterSeconds?: number }} error
 * @param {string} link
 * @param {import('./client/hushbox.ts').OpenOptions} options
 */
async function openAgain(error, link, options) {
  const { status, retryAfterSeconds = Number.POSITIVE_INFINITY } = error;
  if (status !== 503 || retryAfterSeconds > SHORT_WAIT_SECONDS) throw error;
  await sleep(retryAfterSeconds * 1000);
  sent = 0;
  return hushbox.open(link, options);
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

function begin() {
  isBusy = true;
  sent = 0;
  button.disabled = true;
  button.textContent = say('busy');
  message.textContent = '';
  phrase?.removeAttribute('aria-invalid');
  timer = setTimeout(() => {
    slow.textContent = say('openSlow');
  }, SLOW_MS);
}

/** @param {string} name of the button */
function end(name) {
  isBusy = false;
  clearTimeout(timer);
  slow.textContent = '';
  progress.hidden = true;
  button.disabled = false;
  button.textContent = say(name);
}

/** @param {number} fraction */
function showProgress(fraction) {
  progress.hidden = fraction === 1;
  progress.value = fraction;
}

/** @param {Error & { code?: string, status?: number, retryAfterSeconds?: number, triesLeft?: number }} error */
async function fail(error) {
  const { code, status = 0, retryAfterSeconds = 0, triesLeft = 0 } = error;
  wasCutOff ||= code === 'CUT_OFF' || (code === 'KEY_NOT_FOUND' && sent > 1 && !wasGone);
  end(wasCutOff ? 'openAgain' : 'openButton');
  const section = code && SECTIONS[code];
  if (section) showSection(section);
  else if (code === 'KEY_NOT_FOUND') await showGone();
  else if (code === 'WRONG_PHRASE') askForPhrase(describeTries(triesLeft));
  else if (status === 429) complain(say('openTooMany', { time: formatInstant(Date.now() + retryAfterSeconds * 1000) }));
  else complain(describe(error, code, status));
}

/** @type {Record<string, string>} */
const SECTIONS = { SPOILT_LINK: 'spoilt', UNTRUSTED: 'untrusted', NEEDS_HTTPS: 'needs-https' };

/**
 * @param {Error} error
 * @param {string | undefined} code
 * @param {number} status
 */
function describe(error, code, status) {
  if (!code) return say('tooOld');
  if (wasCutOff) return say('openCutOff');
  if (code === 'UNREACHABLE') return say('openOffline');
  if (code === 'NOT_ANSWERED') return say('openNotAnswered');
  return status >= 500 ? say('openAway') : say('openRefused', { reason: error.message });
}

/** @param {number} triesLeft */
function describeTries(triesLeft) {
  const isPadded = phrase !== null && phrase.value !== phrase.value.trim();
  const sentence = triesLeft > 0 ? sayCount('openWrongPhrase', triesLeft) : say('openNoTries');
  return isPadded ? `${sentence} ${say('openBlank')}` : sentence;
}

/** @param {string} sentence */
function askForPhrase(sentence) {
  complain(sentence);
  phrase?.setAttribute('aria-invalid', 'true');
  phrase?.select();
  phrase?.focus();
}

/** @param {string} sentence */
function complain(sentence) {
  message.textContent = sentence;
  if (!phrase) button.focus(); // disabled, it has lost the focus
}

async function showGone() {
  isOver = true;
  if (wasCutOff) {
    button.hidden = true;
    return complain(say('openLost'));
  }
  const at = await import('./kept.js').then(({ findRead }) => findRead(parseLink(linkOf()).key)).catch(() => undefined);
  if (at === undefined) return showSection('gone');
  find('.read-at', HTMLTimeElement).textContent = formatInstant(at);
  showSection('before');
}

find('#retry', HTMLButtonElement).addEventListener('click', () => {
  showSection('waiting');
  checkLink();
});

const field = find('#secret', HTMLTextAreaElement);
const list = find('#files', HTMLUListElement);
const hide = find('#hide', HTMLButtonElement);
/** Exactly: the field changes line ends. */
let secret = '';

offerCopy('copy', find('#copy-note', HTMLElement), field, () => secret);
find('#save-text', HTMLButtonElement).addEventListener('click', () => save(new Blob([secret]), say('openedTextFile')));
hide.addEventListener('click', () => {
  const isHidden = field.classList.toggle('hidden-text');
  hide.textContent = say(isHidden ? 'openedShow' : 'openedHide');
});

/** @param {import('./client/hushbox.ts').Opened} opened */
function showOpened({ text, files }) {
  secret = text ?? '';
  field.defaultValue = secret; // not only its value: the text is then a part of the page, for whatever reads it
  field.rows = Math.min(secret.split('\n').length + 1, 16);
  find('#text', HTMLElement).hidden = text === undefined;
  find('#with-files', HTMLElement).hidden = files.length === 0;
  const items = files.map(itemOf);
  list.replaceChildren(...items);
  const title = say(text === undefined ? 'openedFilesTitle' : 'openedTitle');
  find('#opened-title', HTMLElement).textContent = title;
  document.title = title;
  showSection('opened');
  offerPreviews(files, items).catch(() => {}); // without it, files can be saved all the same
}

/** @param {File} file */
function itemOf(file) {
  const name = safeName(file.name);
  const item = document.createElement('li');
  const words = document.createElement('div');
  const shown = document.createElement('p');
  shown.className = 'what whole';
  shown.dir = 'auto';
  shown.translate = false;
  shown.textContent = shorten(name);
  words.append(shown, hintOf(formatBytes(file.size)));
  item.append(
    words,
    buttonOf('openedSave', name, () => save(file, name)),
  );
  return item;
}

/**
 * @param {File[]} files
 * @param {HTMLLIElement[]} items
 */
async function offerPreviews(files, items) {
  if (files.length === 0) return;
  const { drawPicture, pictureTypeOf } = await import('./pictures.js');
  for (const [index, file] of files.entries()) {
    const name = safeName(file.name);
    const type = await pictureTypeOf(file);
    if (!type) continue;
    const preview = buttonOf('openedPreview', name, async () => {
      const picture = await drawPicture(file, type, say('openedPicture', { name })).catch(() => undefined);
      preview.replaceWith(picture ?? hintOf(say('openedNoPreview')));
    });
    items[index]?.append(preview);
  }
}

/** @param {string} sentence */
function hintOf(sentence) {
  const hint = document.createElement('p');
  hint.className = 'hint';
  hint.textContent = sentence;
  return hint;
}

/**
 * @param {string} key of its text; with `Name`, of the one that a screen reader says
 * @param {string} name
 * @param {() => unknown} onClick
 */
function buttonOf(key, name, onClick) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'small';
  button.textContent = say(key);
  button.setAttribute('aria-label', say(`${key}Name`, { name }));
  button.addEventListener('click', onClick);
  return button;
}

/** @param {string} name whose end, which says what the file is, stays in sight */
function shorten(name) {
  const characters = Array.from(name);
  const isShort = characters.length <= 80;
  return isShort ? name : `${characters.slice(0, 50).join('')}…${characters.slice(-25).join('')}`;
}

/**
 * A stranger chose it: without folders, and without characters that let it look like another name.
 * @param {string} name
 */
function safeName(name) {
  const safe = name
    .replace(/^.*[/\\]/s, '')
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
    .trim();
  return safe || say('openedNameless');
}

/**
 * Never with the sender's type.
 * @param {Blob} content
 * @param {string} name
 */
function save(content, name) {
  const anchor = document.createElement('a');
  anchor.href = URL.createObjectURL(new Blob([content], { type: 'application/octet-stream' }));
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
}

// Only this page can fetch an answer again that was lost on its way.
addEventListener('beforeunload', (event) => {
  if ((isBusy || wasCutOff) && !isOver) event.preventDefault();
});

// A page that the browser keeps for the Back button would still hold the secret.
addEventListener('pagehide', () => {
  secret = '';
  field.defaultValue = '';
  list.replaceChildren();
});
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload();
});

// What the pages share.

/** The folder above /assets/: where the service lives, also behind a proxy that gives it a path. Ends with a slash. */
export const root = new URL('../', import.meta.url);

/** Over plain HTTP a browser has nothing to seal with. */
export const canSeal = globalThis.crypto?.subtle !== undefined;

/**
 * @param {string} link as it was made
 * @returns {string} the same at the address that PUBLIC_URL names
 */
export function toPublic(link) {
  const { publicUrl } = document.body.dataset;
  return publicUrl ? link.replace(root.href.replace(/\/$/, ''), publicUrl) : link;
}

const TIMEOUT_MS = 30_000;
/** Between two looks at something that somebody else changes. */
const FIRST_LOOK_MS = 3_000;
const LONGEST_PAUSE_MS = 60_000;

/** What the page is written in. */
export const language = document.documentElement.lang;
/** The reader's own way to write dates and numbers, where it is of this language. */
const locale = navigator.languages.find((name) => name.split('-', 1)[0] === language) ?? language;
/** In the order of the forms in a text. @type {Intl.LDMLPluralRule[]} */
const PLURALS = ['one', 'few', 'many', 'other'];

/**
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T} the first match
 */
export function find(selector, type) {
  const element = document.querySelector(selector);
  if (!(element instanceof type)) throw new TypeError(`${selector} is missing`);
  return element;
}

/**
 * A sentence of the page, in its language.
 * @param {string} key
 * @param {Record<string, string>} [values] for its `{placeholders}`
 * @returns {string}
 */
export function say(key, values = {}) {
  const sentence = findText(key)?.content.textContent ?? '';
  return sentence.replace(/\{(\w+)\}/g, (_place, name) => values[name] ?? '');
}

/**
 * A sentence with `{count}` in it, in the form that the number needs.
 * @param {string} key
 * @param {number} count
 * @returns {string}
 */
export function sayCount(key, count) {
  const rules = new Intl.PluralRules(language);
  const forms = PLURALS.filter((form) => rules.resolvedOptions().pluralCategories.includes(form));
  const sentences = say(key, { count: count.toLocaleString(locale) }).split('|');
  return sentences[forms.indexOf(rules.select(count))] ?? '';
}

/**
 * @param {string} key
 * @returns {HTMLTemplateElement | null} where the page has this sentence
 */
export function findText(key) {
  return /** @type {HTMLTemplateElement | null} */ (document.getElementById(`text-${key}`));
}

/**
 * What came back. Status 0: no answer, or none of ours.
 * @typedef {{ status: number, body: Record<string, any>, retryAfterSeconds: number }} Answer
 */

/**
 * Sends a request to the service. A lost answer is an answer; what throws is a browser that lacks something.
 * @param {string} method
 * @param {string | URL} address
 * @param {{ json?: object, headers?: Record<string, string>, timeoutMs?: number }} [options]
 * @returns {Promise<Answer>}
 */
export async function ask(method, address, { json, headers = {}, timeoutMs = TIMEOUT_MS } = {}) {
  const controller = new AbortController(); // AbortSignal.timeout is younger than many browsers in use
  const timer = setTimeout(() => controller.abort(), timeoutMs);
  /** @type {RequestInit} */
  const request = {
    method,
    headers: { accept: 'application/json', ...(json && { 'content-type': 'application/json' }), ...headers },
    ...(json && { body: JSON.stringify(json) }),
    redirect: 'error',
    signal: controller.signal,
  };
  try {
    const response = await fetch(address, request);
    const text = await response.text();
    return {
      status: response.status,
      body: text === '' ? {} : JSON.parse(text),
      retryAfterSeconds: Number(response.headers.get('retry-after')) || 0,
    };
  } catch {
    return { status: 0, body: {}, retryAfterSeconds: 0 };
  } finally {
    clearTimeout(timer);
  }
}

/** @param {number} ms */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * @param {Date | string | number} instant
 * @returns {string} in the reader's own time and manner of writing
 */
export function formatInstant(instant) {
  return new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeStyle: 'short' }).format(new Date(instant));
}

/**
 * Makes the section with this id the one that is seen, and takes the reader to its heading.
 * @param {string} id
 */
export function showSection(id) {
  for (const section of document.querySelectorAll('section')) section.hidden = section.id !== id;
  find(`#${id} h1`, HTMLElement).focus();
}

/**
 * Lets a button copy what an element shows.
 * @param {string} id of the button
 * @param {Element} note says whether it worked
 * @param {HTMLElement} element
 * @param {() => string} textOf the exact text: a field changes line ends
 */
export function offerCopy(id, note, element, textOf) {
  find(`#${id}`, HTMLButtonElement).addEventListener('click', async () => {
    note.textContent = ''; // so that a second copy is announced too
    const isCopied = await copy(textOf(), element);
    note.textContent = say(isCopied ? 'copied' : 'copyByHand');
  });
}

/**
 * @param {string} text
 * @param {HTMLElement} element
 */
async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyThroughSelection(text, element); // over plain HTTP there is no clipboard to write to
  }
}

/**
 * @param {string} text
 * @param {HTMLElement} element
 */
function copyThroughSelection(text, element) {
  /** @param {ClipboardEvent} event */
  function replaceText(event) {
    event.clipboardData?.setData('text/plain', text);
    event.preventDefault();
  }
  element.closest('details')?.setAttribute('open', ''); // what is not shown cannot be selected
  if (element instanceof HTMLTextAreaElement) {
    element.focus();
    element.select();
  } else getSelection()?.selectAllChildren(element);
  document.addEventListener('copy', replaceText);
  const isCopied = document.execCommand('copy');
  document.removeEventListener('copy', replaceText);
  return isCopied;
}

/**
 * Looks at growing intervals while the page is seen, and at once when somebody comes back to it.
 * @param {() => Promise<boolean>} look whether to look again
 */
export async function watch(look) {
  for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    await pauseUntilSeen(pauseMs);
    if (!document.hidden && !(await look())) return;
  }
}

/**
 * @param {number} ms
 * @returns {Promise<void>} ends early when somebody comes back
 */
function pauseUntilSeen(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    function end() {
      clearTimeout(timer);
      removeEventListener('focus', end);
      document.removeEventListener('visibilitychange', end);
      resolve();
    }
    addEventListener('focus', end);
    document.addEventListener('visibilitychange', end);
  });
}

/**
 * Runs a task once at a time, while its button shows that it is under way.
 * @param {HTMLButtonElement} button
 * @param {() => Promise<void>} task
 */
export async function whileBusy(button, task) {
  const name = button.textContent;
  const hadFocus = document.activeElement === button;
  button.disabled = true;
  button.textContent = say('busy');
  try {
    await task();
  } finally {
    button.textContent = name;
    button.disabled = false;
    // Disabled, it has lost the focus; a task may have given it to something else.
    if (hadFocus && document.activeElement === document.body) button.focus();
  }
}

/**
 * What a failure of the client library means, for a person.
 * @param {unknown} error
 * @returns {string}
 */
export function explainError(error) {
  const { name, code, status = 0, message, retryAfterSeconds = 0 } = /** @type {Record<string, any>} */ (error);
  if (name === 'UnreadableFile') return message;
  if (name !== 'HushboxError') return say(isNotLoaded(message) ? 'offline' : 'tooOld');
  if (findText(code)) return say(code);
  if (status === 429) return say('limited', { time: formatInstant(Date.now() + retryAfterSeconds * 1000) });
  if (code === 'UNREACHABLE' || code === 'CUT_OFF') return say('offline');
  return status >= 500 ? say('away') : say('refused', { sentence: message.replace(/\.$/, ''), code });
}

/**
 * Whether the library did not come: each browser has words of its own for it.
 * @param {unknown} message
 */
function isNotLoaded(message) {
  return !navigator.onLine || /import/i.test(String(message));
}

const LIFETIMES_MINUTES = [10, 60, 12 * 60, 1440, 3 * 1440, 7 * 1440, 30 * 1440, 90 * 1440, 365 * 1440];
const USUAL_LIFETIME_MINUTES = 7 * 1440;

/**
 * @param {HTMLSelectElement} select
 * @param {number} maxSeconds
 */
export function fillLifetimes(select, maxSeconds) {
  const maxMinutes = Math.floor(maxSeconds / 60);
  for (const minutes of [...LIFETIMES_MINUTES.filter((minutes) => minutes < maxMinutes), maxMinutes]) {
    const isUsual = minutes <= USUAL_LIFETIME_MINUTES;
    select.add(new Option(formatLifetime(minutes), String(minutes), isUsual, isUsual));
  }
}

/** @param {number} minutes */
function formatLifetime(minutes) {
  /** @type {[number, string][]} */
  const parts = [
    [Math.floor(minutes / 1440), 'day'],
    [Math.floor(minutes / 60) % 24, 'hour'],
    [minutes % 60, 'minute'],
  ];
  return parts
    .filter(([count]) => count !== 0)
    .map(([count, unit]) => new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'long' }).format(count))
    .join(' ');
}

const UNITS = ['byte', 'kilobyte', 'megabyte'];

/**
 * @param {number} bytes
 * @returns {string} in units of 1024
 */
export function formatBytes(bytes) {
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), UNITS.length - 1);
  /** @type {Intl.NumberFormatOptions} */
  const options = { style: 'unit', unit: UNITS[power], unitDisplay: power === 0 ? 'long' : 'short' };
  return new Intl.NumberFormat(locale, { ...options, maximumFractionDigits: 1 }).format(bytes / 1024 ** power);
}

// Who is not signed in, as most are not, loads nothing for it.
if (document.querySelector('#who-in') && /csrftoken=./.test(document.cookie)) void import('./who.js');

const languageButton = document.querySelector('#language');
if (languageButton instanceof HTMLButtonElement) {
  languageButton.hidden = false;
  languageButton.addEventListener('click', () => {
    if (isFilled() && !confirm(say('switchLoses'))) return;
    const secure = location.protocol === 'https:' ? '; Secure' : '';
    // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is missing over plain HTTP and in Safari before 18.4
    document.cookie = `lang=${languageButton.value}; Path=${root.pathname}; Max-Age=31536000; SameSite=Lax${secure}`;
    dispatchEvent(new Event('reloading'));
    location.reload(); // the part after the # stays
  });
}

/** Whether something was typed into the page, chosen for it, or is shown on it, that would be lost. */
function isFilled() {
  if (document.querySelector('#files li')) return true;
  /** @type {NodeListOf<HTMLInputElement>} */
  const fields = document.querySelectorAll('textarea, input:not([type=checkbox], .unseen)');
  return [...fields].some(({ value, readOnly, defaultValue }) => value !== (readOnly ? '' : defaultValue));
}

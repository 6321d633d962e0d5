// What the pages share.

/** The folder above /assets/: where the service lives, also behind a proxy that gives it a path. Ends with a slash. */
export const root = new URL('../', import.meta.url);

const TIMEOUT_MS = 30_000;

/** For an exception of our own, which is no lost answer. */
export const TOO_OLD = 'This page does not work in this browser, which may be too old. Please use a newer one.';

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
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'long', timeStyle: 'short' }).format(new Date(instant));
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
 * Lets #copy copy what the field shows.
 * @param {HTMLTextAreaElement} field
 * @param {() => string} textOf the exact text: a field changes line ends
 */
export function offerCopy(field, textOf) {
  const note = find('#copy-note', HTMLElement);
  find('#copy', HTMLButtonElement).addEventListener('click', async () => {
    note.textContent = ''; // so that a second copy is announced too
    const isCopied = await copy(textOf(), field);
    note.textContent = isCopied ? 'Copied.' : 'Press Ctrl+C or ⌘C to copy.';
  });
}

/**
 * @param {string} text
 * @param {HTMLTextAreaElement} field
 */
async function copy(text, field) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyThroughSelection(text, field); // over plain HTTP there is no clipboard to write to
  }
}

/**
 * @param {string} text
 * @param {HTMLTextAreaElement} field
 */
function copyThroughSelection(text, field) {
  /** @param {ClipboardEvent} event */
  function replaceText(event) {
    event.clipboardData?.setData('text/plain', text);
    event.preventDefault();
  }
  field.focus();
  field.select();
  document.addEventListener('copy', replaceText);
  const isCopied = document.execCommand('copy');
  document.removeEventListener('copy', replaceText);
  return isCopied;
}

// What is to be sealed: text that is typed, and files that are chosen, dropped, or pasted as a picture.

import { find, formatBytes, say } from './page.js';

/** Below this, a bar would only flash. */
const PROGRESS_FROM_BYTES = 200_000;

const { secretMaxBytes } = document.body.dataset;
export const secret = find('#secret', HTMLTextAreaElement);
const form = /** @type {HTMLFormElement} */ (secret.form);
const fileInput = find('#file', HTMLInputElement);
const list = find('#files', HTMLUListElement);
const drop = find('#drop', HTMLElement);
const progress = find('#progress', HTMLProgressElement);

/** @type {File[]} */
let files = [];
let takesFiles = false;

/** Loaded when somebody begins: what is seen comes first. */
export const loadClient = () => import('./client/hushbox.ts');
form.addEventListener('input', () => void loadClient().catch(() => {}), { once: true }); // pressing loads it again

/** Only what is sealed can hold files. */
export function takeFiles() {
  takesFiles = true;
  find('#attach', HTMLElement).hidden = false;
}

/**
 * @returns {Promise<string | { text?: string, files: File[] }>}
 * @throws UnreadableFile
 */
export async function readContent() {
  for (const file of files) await checkReadable(file);
  const text = secret.value;
  return files.length > 0 ? { ...(text && { text }), files } : text;
}

/** @param {File} file what a browser shows of it is as old as the choice */
async function checkReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw Object.assign(new Error(say('createUnreadable', { name: file.name })), { name: 'UnreadableFile' });
  }
}

export function clearContent() {
  secret.value = '';
  files = [];
  showFiles();
}

/** @returns {string | undefined} what the server would refuse */
export function faultOfContent() {
  if (secret.value === '' && files.length === 0) return say('createEmpty');
  const bytes = bytesOfContent();
  const limit = Number(secretMaxBytes);
  if (bytes <= limit) return undefined;
  return say('createTooLong', { size: formatBytes(bytes), limit: formatBytes(limit) });
}

/** As client/sealing.ts packs them. */
function bytesOfContent() {
  const text = new Blob([secret.value]).size;
  if (files.length === 0) return text;
  const head = { text, files: files.map(({ name, type, size }) => ({ name, type, bytes: size })) };
  return files.reduce((sum, { size }) => sum + size, text + new Blob([JSON.stringify(head)]).size + 1);
}

/** @returns {((fraction: number) => void) | undefined} shows how much is sent, where that takes a while */
export function progressOfContent() {
  return bytesOfContent() > PROGRESS_FROM_BYTES ? showProgress : undefined;
}

/** @param {number} fraction */
function showProgress(fraction) {
  progress.hidden = false;
  if (fraction === 1)
    progress.removeAttribute('value'); // sent, and not yet answered
  else progress.value = fraction;
}

export function hideProgress() {
  progress.hidden = true;
}

fileInput.addEventListener('change', () => {
  addFiles([...(fileInput.files ?? [])]);
  fileInput.value = ''; // so that the same one can be chosen again
});

secret.addEventListener('paste', (event) => {
  const pasted = [...(event.clipboardData?.files ?? [])];
  if (pasted.length === 0 || !takesFiles) return;
  // A spreadsheet adds a picture to its text; a file manager adds the name to its file.
  const text = event.clipboardData?.getData('text/plain').trim() ?? '';
  if (text !== '' && !pasted.some(({ name }) => text.endsWith(name))) return;
  event.preventDefault();
  addFiles(pasted);
});

for (const name of ['dragenter', 'dragover']) {
  addEventListener(name, (event) => {
    if (!isOfFiles(/** @type {DragEvent} */ (event))) return;
    event.preventDefault(); // otherwise the browser would open the file in place of this page
    if (isOpenForFiles()) drop.classList.add('over');
  });
}
addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) drop.classList.remove('over');
});
addEventListener('drop', (event) => {
  drop.classList.remove('over');
  if (!isOfFiles(event)) return;
  event.preventDefault();
  if (isOpenForFiles()) addFiles([...(event.dataTransfer?.files ?? [])]);
});

/** @param {DragEvent} event */
function isOfFiles({ dataTransfer }) {
  return dataTransfer?.types.includes('Files') === true;
}

function isOpenForFiles() {
  return takesFiles && form.offsetParent !== null;
}

/** @param {File[]} added */
function addFiles(added) {
  files = [...files, ...added];
  showFiles();
  secret.dispatchEvent(new Event('input')); // what was wrong with the content may be so no longer
}

function showFiles() {
  list.hidden = files.length === 0;
  list.replaceChildren(...files.map(itemOf));
}

/** @param {File} file */
function itemOf(file) {
  const item = document.createElement('li');
  const name = document.createElement('span');
  name.className = 'what';
  name.dir = 'auto';
  name.textContent = file.name;
  const size = document.createElement('span');
  size.className = 'hint';
  size.textContent = formatBytes(file.size);
  const remove = document.createElement('button');
  remove.type = 'button';
  remove.className = 'remove';
  remove.textContent = '×';
  remove.setAttribute('aria-label', say('createRemove', { name: file.name }));
  remove.addEventListener('click', () => {
    files = files.filter((other) => other !== file);
    showFiles();
    fileInput.focus();
  });
  item.append(name, size, remove);
  return item;
}

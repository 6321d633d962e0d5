// The link of a request: somebody fills in a secret that somebody else asked for.

import { HushboxError, kidOfPublicKey, newKey, parseLink } from './client/sealing.ts';
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
import { canSeal, explainError, find, formatInstant, root, say, showSection, whileBusy } from './page.js';

const { kid } = document.body.dataset;
const form = find('#answer form', HTMLFormElement);
const button = find('#answer form .main', HTMLButtonElement);
const message = find('#message', HTMLElement);

/** Of the answer that is being sent. One that the server seals can be sent again; one that is sealed here is another one then. */
const idempotencyKey = newKey();
/** Whether an answer may have arrived whose confirmation did not come back. */
let wasCutOff = false;

for (const time of document.querySelectorAll('time')) time.textContent = formatInstant(time.dateTime);
find('.no-script', HTMLElement).remove();
addEventListener('hashchange', () => void checkLink()); // the right link, pasted into the same tab
await checkLink();

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  message.textContent = faultOfContent() ?? '';
  if (message.textContent !== '') return secret.focus();
  await whileBusy(button, send);
});

secret.addEventListener('input', () => {
  message.textContent = '';
});

/** Before anything is typed: a link that is spoilt sends nothing. */
async function checkLink() {
  try {
    const { hash } = location;
    const { fragment } = parseLink(location.href);
    if ((kid || fragment) && !canSeal) return showSection('https');
    const isRight = !kid || (fragment && kid === (await kidOfPublicKey(fragment)));
    if (location.hash !== hash) return; // by now there is a check of another link
    if (!isRight) return showSection('spoilt');
    if (!kid && fragment) return showSection('untrusted');
    if (kid) takeFiles();
    if (find('#answer', HTMLElement).hidden) showSection('answer');
    button.disabled = false;
  } catch (error) {
    refuse(error);
  }
}

async function send() {
  const show = progressOfContent();
  let isSent = false;
  /** @param {number} fraction */
  const onProgress = (fraction) => {
    isSent = true;
    show?.(fraction);
  };
  try {
    const options = { receipt: true, idempotencyKey, onProgress };
    const { Hushbox } = await loadClient();
    const content = await readContent();
    const { receiptKey } = await new Hushbox(root).answer(location.href, content, options);
    clearContent();
    find('#follow', HTMLAnchorElement).href = new URL(`receipts/${receiptKey}`, root).href;
    showSection('answered');
  } catch (error) {
    // What came in place of an answer hides nothing that was typed, and it may have come after the server took it.
    if (isSent && codeOf(error) === 'UNTRUSTED') wasCutOff = true;
    refuse(error, isSent);
  } finally {
    hideProgress();
  }
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof HushboxError ? error.code : '';
}

/**
 * @param {unknown} error
 * @param {boolean} [isSent] whether something was sent: then it stays in sight
 */
function refuse(error, isSent) {
  const code = codeOf(error);
  if (code === 'SPOILT_LINK') return showSection('spoilt');
  if (code === 'NEEDS_HTTPS') return showSection('https');
  if (code === 'UNTRUSTED' && !isSent) return showSection('untrusted');
  if (code === 'CUT_OFF') wasCutOff = true;
  if (code === 'KEY_NOT_FOUND') return showClosed();
  message.textContent = explainError(error);
  button.disabled = false; // sending looks at the link again
}

/** Somebody else was faster. What was typed stays, so that it can be sent in another way. */
function showClosed() {
  find('#answer h1', HTMLElement).textContent = say('closedTitle');
  find('#closed', HTMLElement).textContent = say(wasCutOff ? 'closedMaybe' : 'closedText');
  for (const part of document.querySelectorAll('#answer .open, #attach, #answer .main'))
    part.setAttribute('hidden', '');
  secret.readOnly = true;
}

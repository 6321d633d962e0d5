// What became of a secret. The server writes the page; this loads it again when something has changed.

import { ask, find, formatInstant, root, say, watch } from './page.js';

const receipt = new URL(location.pathname.split('/').findLast(Boolean) ?? '', new URL('receipts/', root));
const burn = document.querySelector('#burn'); // there while the secret waits
const tries = document.querySelector('#tries')?.textContent ?? '0';

for (const time of document.querySelectorAll('time')) time.textContent = formatInstant(time.dateTime);
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload();
});

document.querySelector('.no-script')?.remove();
if (burn instanceof HTMLButtonElement) {
  burn.disabled = false;
  burn.addEventListener('click', () => void burnSecret(burn));
  void watch(async () => {
    const { status, body } = await ask('GET', receipt);
    const isSame =
      status !== 404 && (status !== 200 || (body.state === 'waiting' && String(body.wrong_tries) === tries));
    if (!isSame) location.reload();
    return isSame;
  });
}

/** @param {HTMLButtonElement} button */
async function burnSecret(button) {
  if (!confirm(say('burnQuestion'))) return;
  button.disabled = true;
  const { status } = await ask('DELETE', receipt);
  if (status === 204 || status === 409 || status === 404) return location.reload();
  button.disabled = false;
  find('#message', HTMLElement).textContent = say('burnFailed');
}

// The private link of a request, opened before anybody has answered.

import { Hushbox, parseLink } from './client/hushbox.ts';
import { ask, explainError, find, formatInstant, root, say, showSection, watch, whileBusy } from './page.js';

const withdraw = find('#withdraw', HTMLButtonElement);

for (const time of document.querySelectorAll('time')) time.textContent = formatInstant(time.dateTime);
find('.no-script', HTMLElement).remove();
find('#seen', HTMLElement).hidden = history.state?.wasSeen !== true; // set by gone.js
addEventListener('hashchange', () => location.reload());
if (isDamaged()) {
  find('#damaged', HTMLElement).hidden = false;
  find('#private', HTMLElement).hidden = true;
}
withdraw.disabled = false;
withdraw.addEventListener('click', () => {
  if (confirm(say('withdrawQuestion'))) void whileBusy(withdraw, withdrawRequest);
});

let isOver = false;
void watch(async () => {
  if (isOver) return false;
  const { status, body } = await ask('GET', location.pathname);
  const isSame = status !== 404 && (status !== 200 || body.answered === false);
  if (!isSame && !isOver) location.reload(); // the server has another page for it now
  return isSame;
});

/** Whether it can be seen already that the link will open nothing: who has the whole one still has time to find it. */
function isDamaged() {
  try {
    parseLink(location.href);
    return false;
  } catch {
    return true;
  }
}

async function withdrawRequest() {
  try {
    await new Hushbox(root).withdraw(location.href);
    isOver = true;
    showSection('withdrawn');
  } catch (error) {
    find('#message', HTMLElement).textContent = explainError(error);
  }
}

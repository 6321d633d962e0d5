// The private link of a request, opened before anybody has answered.

import { Hushbox } from './client/hushbox.ts';
import { ask, explainError, find, formatInstant, root, say, showSection, watch, whileBusy } from './page.js';

const withdraw = find('#withdraw', HTMLButtonElement);

for (const time of document.querySelectorAll('time')) time.textContent = formatInstant(time.dateTime);
find('.no-script', HTMLElement).remove();
addEventListener('hashchange', () => location.reload());
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

async function withdrawRequest() {
  try {
    await new Hushbox(root).withdraw(location.href);
    isOver = true;
    showSection('withdrawn');
  } catch (error) {
    find('#message', HTMLElement).textContent = explainError(error);
  }
}

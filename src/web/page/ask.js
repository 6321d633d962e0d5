// Asks somebody for a secret: two links, one to send and one to keep.

import { Hushbox } from './client/hushbox.ts';
import {
  ask,
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

const NOTE_MAX = 500;

const { ttlMaxSeconds } = document.body.dataset;
const form = find('#new form', HTMLFormElement);
const button = find('#new form .main', HTMLButtonElement);
const message = find('#message', HTMLElement);
const note = find('#note', HTMLTextAreaElement);
const lifetime = find('#lifetime', HTMLSelectElement);
const token = /** @type {HTMLInputElement | null} */ (document.querySelector('#token'));
const link = find('#link', HTMLTextAreaElement);
const keep = find('#private', HTMLTextAreaElement);
const state = find('#state', HTMLElement);
const open = find('#open', HTMLAnchorElement);
const withdraw = find('#withdraw', HTMLButtonElement);

/** The two links on screen, as they were made: PUBLIC_URL may name another address for them. */
let asked = { link: '', keepLink: '', expiresAt: '' };

const isSealed = await canMakeKey();
find('#plain', HTMLElement).hidden = isSealed;
fillLifetimes(lifetime, Number(ttlMaxSeconds));
find('.no-script', HTMLElement).remove();
button.disabled = false;
const sendNote = find('#send-note', HTMLElement);
offerCopy('copy', sendNote, link, () => link.value);
offerCopy('copy-message', sendNote, link, () =>
  say('askMessage', { link: link.value, time: formatInstant(asked.expiresAt) }),
);
offerCopy('copy-private', find('#keep-note', HTMLElement), keep, () => keep.value);
find('#show-qr', HTMLButtonElement).addEventListener('click', showQr);
withdraw.addEventListener('click', () => void withdrawRequest());
find('#another', HTMLButtonElement).addEventListener('click', () => location.reload());
addEventListener('beforeunload', (event) => {
  if (state.dataset.state !== 'over' && asked.keepLink !== '' && !isKept) event.preventDefault();
});

/** Whether the private link was copied or opened: it is nowhere else. */
let isKept = false;
for (const name of ['#copy-private', '#open']) {
  find(name, HTMLElement).addEventListener('click', () => {
    isKept = true;
  });
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  message.textContent = '';
  if (!checkNote()) return;
  await whileBusy(button, async () => {
    try {
      const client = new Hushbox(root, { token: token?.value || undefined });
      const minutes = Number(lifetime.value);
      showLinks(await client.request({ note: note.value.trim(), ttl: { minutes }, plain: !isSealed }));
    } catch (error) {
      message.textContent = explainError(error);
    }
  });
});

/** A browser seals over HTTPS alone, and an older one cannot make such a key. */
async function canMakeKey() {
  try {
    await crypto.subtle.generateKey('X25519', false, ['deriveBits']);
    return true;
  } catch {
    return false;
  }
}

function checkNote() {
  const isTooLong = Array.from(note.value.trim()).length > NOTE_MAX;
  find('#note-error', HTMLElement).textContent = isTooLong ? say('noteTooLong') : '';
  note.setAttribute('aria-invalid', String(isTooLong));
  if (isTooLong) note.focus();
  return !isTooLong;
}

/** @param {{ link: string, keepLink: string, expiresAt: string }} made */
function showLinks(made) {
  asked = made;
  link.defaultValue = toPublic(made.link);
  keep.defaultValue = toPublic(made.keepLink);
  open.href = keep.value;
  find('#until', HTMLTimeElement).textContent = formatInstant(made.expiresAt);
  note.value = '';
  showState('waiting', 'notAnswered');
  showSection('asked');
  void watch(lookForAnswer);
}

/** @returns {Promise<boolean>} whether to look again */
async function lookForAnswer() {
  if (state.dataset.state !== 'waiting') return false;
  const { status, body } = await ask('GET', asked.keepLink.replace(/#.*/, ''));
  if (status === 200 && body.answered !== false) showState('up', 'answered');
  if (status === 404) showState('over', 'requestEnded');
  return state.dataset.state === 'waiting';
}

/**
 * @param {'waiting' | 'up' | 'over'} name
 * @param {string} key
 */
function showState(name, key) {
  state.dataset.state = name;
  state.textContent = say(key);
  open.hidden = name !== 'up';
  withdraw.hidden = name !== 'waiting';
}

async function showQr() {
  const place = find('#qr', HTMLElement);
  const error = find('#asked-message', HTMLElement);
  error.textContent = '';
  try {
    const { drawQr } = await import('./qr.js');
    place.replaceChildren(drawQr(link.value, say('qrOfLink')));
    find('#show-qr', HTMLElement).hidden = true;
  } catch {
    error.textContent = say('offline');
  }
}

async function withdrawRequest() {
  if (!confirm(say('withdrawQuestion'))) return;
  const error = find('#asked-message', HTMLElement);
  error.textContent = '';
  await whileBusy(withdraw, async () => {
    try {
      await new Hushbox(root).withdraw(asked.keepLink);
      showState('over', 'requestWithdrawn');
    } catch (failure) {
      if (await lookForAnswer()) error.textContent = explainError(failure);
    }
  });
}

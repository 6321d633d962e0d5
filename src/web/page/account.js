import { during, explain, report, serveForm } from './form.js';
import { find, formatInstant, say, showSection } from './page.js';
import { askMe, askSignedIn, forget, readCsrfToken, showWho, signOut } from './who.js';

/** @typedef {import('./page.js').Answer} Answer */

const PROFILE = ['first_name', 'last_name', 'birth_date', 'sex', 'type'];
const list = find('#sessions', HTMLUListElement);
const note = find('#sessions-note', HTMLElement);
const profileForm = find('#profile', HTMLFormElement);
const endOthers = find('#end-others', HTMLButtonElement);

const next = encodeURIComponent(location.pathname);
find('#out a', HTMLAnchorElement).href += `?next=${next}`;
find('#retry', HTMLButtonElement).addEventListener('click', () => location.reload());
// A page that the browser keeps for the Back button may be of somebody who has signed out since.
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload();
});

/** Whose account is shown, as far as cookies tell. */
let shown = readCsrfToken();
// In another tab somebody may have signed out, or signed in as somebody else, whom this page would change.
addEventListener('focus', () => {
  if (readCsrfToken() !== shown) location.reload();
});

void start();

async function start() {
  const me = await askMe();
  if (isOver(me)) return;
  const sessions = me.status === 200 ? await askSignedIn('GET', 'sessions') : me;
  if (isOver(sessions)) return;
  if (sessions.status !== 200) return showSection('failed');
  showAccount(me.body);
  showSessions(/** @type {any} */ (sessions.body));
  showSection('account');
}

/**
 * @param {Answer} answer
 * @returns {boolean} whether nobody is signed in any more: then the page shows that
 */
function isOver({ body }) {
  if (body.code !== 'SIGNED_OUT') return false;
  shown = readCsrfToken();
  showWho(undefined);
  showSection('out');
  return true;
}

/** @param {Record<string, any>} me */
function showAccount({ email, profile }) {
  find('#address', HTMLElement).textContent = email;
  for (const field of document.querySelectorAll('[name=username]')) field.setAttribute('value', email);
  for (const name of PROFILE) {
    const text = profile?.[name] ?? '';
    const value = name === 'birth_date' ? text.slice(0, 10) : text; // it may have a time, which nobody is asked for
    fieldOf(name).value = value;
    fieldOf(name).defaultValue = value;
  }
}

/** @param {string} name */
function fieldOf(name) {
  return /** @type {HTMLInputElement} */ (profileForm.elements.namedItem(name));
}

serveForm(
  profileForm,
  () => {
    const changed = PROFILE.filter((name) => fieldOf(name).value !== fieldOf(name).defaultValue);
    return askSignedIn('PATCH', 'api/v1/me/', {
      profile: Object.fromEntries(changed.map((name) => [name, fieldOf(name).value || null])),
    });
  },
  ({ body }) => {
    showAccount(body);
    report(profileForm, say('saved'));
  },
  isOver,
);

const passwordForm = find('#change-password', HTMLFormElement);
serveForm(
  passwordForm,
  ({ current, password }) => askSignedIn('POST', 'api/v1/password/change/', { current, password }),
  async () => {
    clearPasswords(passwordForm);
    report(passwordForm, say('passwordChanged'));
    await listAgain();
  },
  isOver,
);

const emailForm = find('#change-email', HTMLFormElement);
serveForm(
  emailForm,
  ({ current, email }) => askSignedIn('POST', 'api/v1/email/change/', { current, email }),
  () => {
    report(emailForm, say('emailSent', { email: find('#new-email', HTMLInputElement).value }));
    emailForm.reset();
  },
  isOver,
);

serveForm(
  find('#delete', HTMLFormElement),
  ({ current }) => askSignedIn('DELETE', 'api/v1/me/', { current }),
  () => {
    forget();
    shown = undefined;
    showWho(undefined);
    showSection('deleted');
  },
  isOver,
);

/** @param {HTMLFormElement} form */
function clearPasswords(form) {
  for (const field of form.querySelectorAll('[type=password]')) /** @type {HTMLInputElement} */ (field).value = '';
}

const signOutButton = find('#sign-out', HTMLButtonElement);
signOutButton.addEventListener('click', async () => {
  const answer = await during(signOutButton, signOut);
  if (answer?.status === 204 || answer?.body.code === 'SIGNED_OUT') isOver({ ...answer, body: { code: 'SIGNED_OUT' } });
  else find('#sign-out-message', HTMLElement).textContent = explain(answer);
});

endOthers.addEventListener('click', () => end(endOthers, 'sessions', say('othersEnded')));

/** @typedef {{ id: string, user_agent: string, created_at: string, last_used_at: string, current: boolean }} Session */

/** @param {Session[]} sessions */
function showSessions(sessions) {
  list.replaceChildren(...sessions.toSorted((a, b) => Number(b.current) - Number(a.current)).map(itemOf));
  endOthers.hidden = sessions.length < 2;
}

/** @param {Session} session */
function itemOf({ id, user_agent: userAgent, created_at: created, last_used_at: used, current }) {
  const item = document.importNode(find('#session', HTMLTemplateElement).content, true);
  const name = nameOf(userAgent);
  /** @type {(selector: string, sentence: string) => void} */
  const write = (selector, sentence) => /** @type {Element} */ (item.querySelector(selector)).replaceChildren(sentence);
  write('.what', current ? say('thisBrowser', { name }) : name);
  write('.used', say('lastUsed', { time: formatInstant(used) }));
  write('.created', say('signedInAt', { time: formatInstant(created) }));
  const button = /** @type {HTMLButtonElement} */ (item.querySelector('button'));
  button.setAttribute('aria-label', say('endNamed', { name }));
  button.hidden = current; // that is to sign out
  button.addEventListener('click', () => end(button, `sessions/${encodeURIComponent(id)}`, say('ended')));
  return item;
}

/**
 * @param {HTMLButtonElement} button
 * @param {string} path
 * @param {string} sentence
 */
async function end(button, path, sentence) {
  const message = find('#sessions-message', HTMLElement);
  message.textContent = '';
  note.textContent = '';
  const answer = await during(button, () => askSignedIn('DELETE', path));
  if (answer && isOver(answer)) return;
  if (answer?.status !== 204 && answer?.status !== 404) {
    message.textContent = explain(answer);
    return;
  }
  await listAgain();
  note.textContent = sentence;
  find('#sessions-title', HTMLElement).focus(); // the button is gone
}

async function listAgain() {
  const answer = await askSignedIn('GET', 'sessions');
  if (answer.status === 200) showSessions(/** @type {any} */ (answer.body));
}

/** What a program calls itself, in words. The first that matches counts: most also name others. */
const BROWSERS = [
  'Edg Edge',
  'OPR Opera',
  'SamsungBrowser Samsung Internet',
  'Firefox Firefox',
  'Chrome Chrome',
  'Safari Safari',
];
const SYSTEMS = [
  'Android Android',
  'iPhone iPhone',
  'iPad iPad',
  'Windows Windows',
  'CrOS ChromeOS',
  'Mac macOS',
  'Linux Linux',
];

/** @param {string} userAgent */
function nameOf(userAgent) {
  const [browser, system] = [wordsOf(BROWSERS, userAgent, '/'), wordsOf(SYSTEMS, userAgent, '')];
  if (browser && system) return say('browserOn', { browser, system });
  return userAgent || say('unknownProgram');
}

/**
 * @param {string[]} marks
 * @param {string} userAgent
 * @param {string} after
 */
function wordsOf(marks, userAgent, after) {
  return marks.find((line) => userAgent.includes(line.split(' ', 1)[0] + after))?.replace(/^\S+ /, '');
}

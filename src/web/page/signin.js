import { during, explain, serveForm } from './form.js';
import { ask, find, root, showSection } from './page.js';
import { askMe, isSignedIn, showWho, signOut } from './who.js';

const target = targetOf(new URLSearchParams(location.search).get('next'));

find('#continue', HTMLAnchorElement).href = target;

serveForm(
  find('form', HTMLFormElement),
  ({ email, password }) => ask('POST', new URL('api/v1/login/', root), { json: { email, password } }),
  () => location.replace(target),
);

const button = find('#sign-out', HTMLButtonElement);
button.addEventListener('click', async () => {
  const answer = await during(button, signOut);
  if (answer?.status !== 204 && answer?.status !== 401) {
    find('#in .message', HTMLElement).textContent = explain(answer);
    return;
  }
  showWho(undefined);
  showSection('out');
});

if (isSignedIn()) {
  const { status, body } = await askMe();
  if (status === 200) {
    find('#address', HTMLElement).textContent = body.email;
    showSection('in');
  }
}

/**
 * Where to go after the sign-in: `next`, if it is a path of this service, because anybody can write it into a link.
 * @param {string | null} next
 */
function targetOf(next) {
  const account = new URL('account', root).href;
  if (!next?.startsWith('/')) return account;
  try {
    const url = new URL(next, root); // as the browser reads it: `//host`, `/\host` and blanks inside are another host
    return url.href.startsWith(root.href) ? url.href : account;
  } catch {
    return account;
  }
}

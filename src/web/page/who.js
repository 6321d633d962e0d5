// On every page: who is signed in.

import { find } from './page.js';
import { askMe, isSignedIn } from './session.js';

if (isSignedIn()) {
  const { status, body } = await askMe();
  if (status === 200) showWho(body.email);
}

/** @param {string | undefined} email */
export function showWho(email) {
  const link = find('#who-in', HTMLAnchorElement);
  link.textContent = email ?? '';
  link.title = email ?? '';
  link.hidden = email === undefined;
  find('#who-out', HTMLAnchorElement).hidden = email !== undefined;
}

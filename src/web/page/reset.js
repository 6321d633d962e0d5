import { serveForm } from './form.js';
import { ask, find, root, showSection } from './page.js';

const token = new URLSearchParams(location.search).get('token');
// The token opens the account: it must not stay where others may see it, nor in the history.
history.replaceState(null, '', location.pathname);

// In another language the page is loaded again, and needs it once more.
addEventListener('reloading', () => {
  if (token) history.replaceState(null, '', `?token=${encodeURIComponent(token)}`);
});

const form = find('form', HTMLFormElement);
if (!token) showSection('incomplete');

serveForm(
  form,
  async ({ password }) => ask('POST', new URL('api/v1/password/reset/', root), { json: { token, password } }),
  () => {
    form.reset();
    showSection('done');
  },
  ({ status }) => {
    if (status === 410) showSection('used');
    return status === 410;
  },
);

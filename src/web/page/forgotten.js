import { serveForm } from './form.js';
import { ask, find, root, showSection } from './page.js';

const email = find('#email', HTMLInputElement);

serveForm(
  find('form', HTMLFormElement),
  (values) => ask('POST', new URL('api/v1/password/forgot/', root), { json: { email: values.email } }),
  () => {
    find('#address', HTMLElement).textContent = email.value;
    showSection('sent');
  },
);

find('#other', HTMLButtonElement).addEventListener('click', () => {
  showSection('ask');
  email.select();
});

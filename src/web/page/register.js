import { during, explain, serveForm } from './form.js';
import { ask, find, root, say, showSection } from './page.js';

const form = document.querySelector('form'); // there only where people can register
const again = find('#again', HTMLButtonElement);
const note = find('#again-note', HTMLElement);
let address = '';

if (form) {
  serveForm(
    form,
    ({ email = '', password }) => {
      address = email;
      return ask('POST', new URL('api/v1/register/', root), { json: { email, password } });
    },
    () => {
      find('#address', HTMLElement).textContent = address;
      note.textContent = '';
      showSection('sent');
    },
  );
}

again.addEventListener('click', async () => {
  note.textContent = ''; // so that a second time is announced too
  const resend = new URL('api/v1/register/resend/', root);
  const answer = await during(again, () => ask('POST', resend, { json: { email: address } }));
  note.textContent = answer?.status === 202 ? say('sentAgain') : explain(answer);
});

find('#other', HTMLButtonElement).addEventListener('click', () => {
  showSection('new');
  find('#email', HTMLInputElement).select();
});

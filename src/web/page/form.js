// Forms that a script sends: errors are beside their fields, and nothing that was typed is lost.

import { find, findText, formatInstant, say } from './page.js';

/** @typedef {import('./page.js').Answer} Answer */

for (const hint of document.querySelectorAll('.no-script')) hint.remove();
for (const button of document.querySelectorAll('button.show')) button.addEventListener('click', () => toggle(button));

/**
 * @param {HTMLFormElement} form
 * @param {(values: Record<string, string>) => Promise<Answer>} send
 * @param {(answer: Answer) => unknown} onDone of a success
 * @param {(answer: Answer) => boolean} [isElse] whether another answer is shown elsewhere than in the form
 */
export function serveForm(form, send, onDone, isElse = () => false) {
  const button = /** @type {HTMLButtonElement} */ (form.querySelector('[type=submit]'));
  form.noValidate = true; // the browser's own words would vanish
  button.disabled = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    clear(form);
    if (!check(form)) return;
    hidePasswords(form);
    const values = /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(form)));
    const answer = await during(button, () => send(values));
    if (answer && answer.status >= 200 && answer.status < 300) await onDone(answer);
    else if (!answer || !isElse(answer)) fail(form, answer);
  });
}

/**
 * Runs a task while its button shows that it is under way.
 * @template T
 * @param {HTMLButtonElement} button
 * @param {() => Promise<T>} task
 * @returns {Promise<T | undefined>} undefined where the browser lacks something
 */
export async function during(button, task) {
  const name = button.textContent;
  const hadFocus = document.activeElement === button;
  button.disabled = true;
  button.textContent = say('busy');
  const result = await task().catch(() => undefined);
  button.textContent = name;
  button.disabled = false;
  if (hadFocus) button.focus(); // a disabled button has lost it
  return result;
}

/**
 * @param {HTMLFormElement} form
 * @param {string} sentence
 */
export function report(form, sentence) {
  const result = form.querySelector('.result');
  if (result) result.textContent = sentence;
}

/**
 * What a failure means, for a person.
 * @param {Answer | undefined} answer
 * @returns {string}
 */
export function explain(answer) {
  if (!answer) return say('tooOld');
  const { status, body, retryAfterSeconds } = answer;
  if (findText(body.code)) return say(body.code);
  if (status === 429) return say('limited', { time: formatInstant(Date.now() + retryAfterSeconds * 1000) });
  if (status === 0) return say('offline');
  return status >= 500 || !body.Error ? say('away') : say('refused', { sentence: body.Error, code: body.code });
}

/**
 * @param {HTMLFormElement} form
 * @param {Answer | undefined} answer
 */
function fail(form, answer) {
  const { field } = findText(answer?.body.code)?.dataset ?? {};
  const faults = field ? [{ field, sentence: explain(answer) }] : faultsOf(form, answer);
  for (const { field, sentence } of faults) setError(fieldOf(form, field), sentence);
  const message = form.querySelector('.message');
  if (faults.length > 0) focusFirst(form);
  else if (message) message.textContent = explain(answer);
}

/**
 * `password must have …; email must be …`: the server names the members that it does not accept.
 * @param {HTMLFormElement} form
 * @param {Answer | undefined} answer
 */
function faultsOf(form, answer) {
  if (answer?.status !== 400) return [];
  return String(answer.body.Error)
    .split('; ')
    .flatMap((fault) => {
      const [, member = ''] = /^(?:\w+\.)*(\w+) /.exec(fault) ?? [];
      const sentence = fieldOf(form, member)?.dataset.refused;
      return sentence ? [{ field: member, sentence }] : [];
    });
}

/** @param {HTMLFormElement} form */
function check(form) {
  for (const input of inputsOf(form)) {
    if (input.validity.valueMissing) setError(input, input.dataset.missing ?? '');
    else if (!input.validity.valid) setError(input, input.dataset.invalid ?? input.validationMessage);
  }
  return !focusFirst(form);
}

/**
 * @param {HTMLInputElement | undefined} input
 * @param {string} sentence
 */
function setError(input, sentence) {
  if (!input) return;
  find(`#${input.id}-error`, HTMLElement).textContent = sentence;
  input.setAttribute('aria-invalid', 'true');
}

/**
 * @param {HTMLFormElement} form
 * @returns {boolean} whether a field has an error
 */
function focusFirst(form) {
  const wrong = inputsOf(form).find((input) => input.hasAttribute('aria-invalid'));
  wrong?.focus();
  return wrong !== undefined;
}

/** @param {HTMLFormElement} form */
function clear(form) {
  for (const input of inputsOf(form)) input.removeAttribute('aria-invalid');
  for (const line of form.querySelectorAll('.error, .message, .result')) line.textContent = '';
}

/** @param {HTMLFormElement} form */
function inputsOf(form) {
  return /** @type {HTMLInputElement[]} */ (
    [...form.elements].filter((element) => element instanceof HTMLInputElement)
  );
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 */
function fieldOf(form, name) {
  return inputsOf(form).find((input) => input.name === name && input.id !== '');
}

/** @param {Element} button */
function toggle(button) {
  const input = find(`#${button.getAttribute('aria-controls')}`, HTMLInputElement);
  const isShown = input.type === 'password';
  input.type = isShown ? 'text' : 'password';
  button.setAttribute('aria-pressed', String(isShown));
}

/**
 * Password managers look for them.
 * @param {HTMLFormElement} form
 */
function hidePasswords(form) {
  for (const button of form.querySelectorAll('[aria-pressed=true]')) toggle(button);
}

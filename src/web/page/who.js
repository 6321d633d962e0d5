// On every page: who is signed in. The tokens of the session are in cookies that no script reads, but for the CSRF token.

import { ask, find, root } from './page.js';

/** Over HTTPS no other one counts: another host of the same site can have set it. */
const CSRF_COOKIE = location.protocol === 'https:' ? '__Host-csrftoken' : 'csrftoken';
/** An answer of our own: nobody is signed in here, or no longer. */
const SIGNED_OUT = { status: 401, body: { code: 'SIGNED_OUT' }, retryAfterSeconds: 0 };

/** Of all requests that find the access token expired at the same time. @type {Promise<Answer> | undefined} */
let refreshing;
let renewals = 0;

/** @typedef {import('./page.js').Answer} Answer */

/** Whether somebody is signed in, as far as the browser knows. */
export function isSignedIn() {
  return readCsrfToken() !== undefined;
}

/**
 * Sends a request as whoever is signed in. If the access token has expired, it is renewed, once.
 * @param {string} method
 * @param {string} path
 * @param {object} [json]
 * @returns {Promise<Answer>} of code `SIGNED_OUT` where nobody is signed in
 */
export async function askSignedIn(method, path, json) {
  if (!isSignedIn()) return SIGNED_OUT;
  const before = renewals;
  const first = await send(method, path, json);
  if (!isRefused(first)) return first;
  const used = readCsrfToken();
  if (renewals === before) {
    refreshing ??= refresh();
    const renewed = await refreshing;
    if (renewed.status !== 200) return isRefused(renewed) ? giveUp(used) : renewed;
  } // otherwise it was renewed while this request was on its way
  const last = await send(method, path, json);
  return isRefused(last) ? giveUp(used) : last;
}

/** @param {string | undefined} used the CSRF token; if there is another one by now, another tab has just signed in */
function giveUp(used) {
  if (readCsrfToken() === used) forget();
  return SIGNED_OUT;
}

async function refresh() {
  try {
    const answer = await send('POST', 'api/v1/login/refresh/');
    if (answer.status === 200) renewals += 1;
    return answer;
  } finally {
    refreshing = undefined;
  }
}

/** Who is signed in: asked once for a page. @type {Promise<Answer> | undefined} */
let me;

/** @returns {Promise<Answer>} */
export function askMe() {
  me ??= askSignedIn('GET', 'api/v1/me/');
  return me;
}

/** @returns {Promise<Answer>} of status 204, or `SIGNED_OUT`, once nobody is signed in */
export async function signOut() {
  const answer = await askSignedIn('POST', 'api/v1/logout/');
  if (answer.status === 204) forget();
  return answer;
}

/** The browser no longer counts as signed in. The other cookies are of no use by then. */
export function forget() {
  const secure = location.protocol === 'https:' ? '; Secure' : '';
  // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is missing over plain HTTP and in Safari before 18.4
  document.cookie = `${CSRF_COOKIE}=; Path=/; Max-Age=0; SameSite=Strict${secure}`;
}

/**
 * Of a session that is over, not of a wrong password.
 * @param {Answer} answer
 */
function isRefused({ status, body }) {
  return status === 401 && body.code !== 'INVALID_CREDENTIALS';
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [json]
 */
function send(method, path, json) {
  const csrfToken = readCsrfToken();
  const headers = csrfToken === undefined ? {} : { 'x-csrftoken': csrfToken };
  return ask(method, new URL(path, root), json ? { json, headers } : { headers });
}

/** @returns {string | undefined} the same as long as the session lives */
export function readCsrfToken() {
  const pair = document.cookie.split('; ').find((pair) => pair.startsWith(`${CSRF_COOKIE}=`));
  return pair?.slice(CSRF_COOKIE.length + 1) || undefined;
}

/** @param {string | undefined} email */
export function showWho(email) {
  const link = find('#who-in', HTMLAnchorElement);
  link.textContent = email ?? '';
  link.title = email ?? '';
  link.hidden = email === undefined;
  find('#who-out', HTMLAnchorElement).hidden = email !== undefined;
}

if (isSignedIn()) {
  const { status, body } = await askMe();
  if (status === 200) showWho(body.email);
}

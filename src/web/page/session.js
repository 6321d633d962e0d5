// The session of this browser. Its tokens are in cookies that no script reads, but for the CSRF token.

import { ask, root } from './page.js';

const CSRF_COOKIES = ['__Host-csrftoken', 'csrftoken'];
/** An answer of our own: nobody is signed in here, or no longer. */
const SIGNED_OUT = { status: 401, body: { code: 'SIGNED_OUT' }, retryAfterSeconds: 0 };

/** Of all requests that find the access token expired at the same time. @type {Promise<Answer> | undefined} */
let refreshing;

/** @typedef {import('./page.js').Answer} Answer */

/** Whether somebody is signed in, as far as the browser knows. */
export function isSignedIn() {
  return readCsrfCookie() !== undefined;
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
  const first = await send(method, path, json);
  if (!isRefused(first)) return first;
  const used = readCsrfCookie();
  refreshing ??= send('POST', 'api/v1/login/refresh/').finally(() => {
    refreshing = undefined;
  });
  const renewed = await refreshing;
  const last = renewed.status === 200 ? await send(method, path, json) : renewed;
  if (!isRefused(last)) return last;
  if (readCsrfCookie()?.value === used?.value) forget(); // otherwise another tab has just signed in
  return SIGNED_OUT;
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
  const found = readCsrfCookie();
  const secure = location.protocol === 'https:' ? '; Secure' : '';
  // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is missing over plain HTTP and in Safari before 18.4
  if (found) document.cookie = `${found.name}=; Path=/; Max-Age=0; SameSite=Strict${secure}`;
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
  const csrfToken = readCsrfCookie()?.value;
  const headers = csrfToken === undefined ? {} : { 'x-csrftoken': csrfToken };
  return ask(method, new URL(path, root), json ? { json, headers } : { headers });
}

function readCsrfCookie() {
  const pairs = document.cookie.split('; ').map((pair) => {
    const at = pair.indexOf('=');
    return { name: pair.slice(0, at), value: pair.slice(at + 1) };
  });
  return CSRF_COOKIES.map((name) => pairs.find((pair) => pair.name === name && pair.value !== '')).find(Boolean);
}

import { remember } from '../../support/process/leaks.ts';
import { type AuthServer, EMAIL, PASSWORD } from './support.ts';

/** The cookies of one browser, and the requests that it sends from a page of our own. */
export type Browser = {
  jar: Map<string, string>;
  /** The last `Set-Cookie` headers. */
  set: string[];
  cookieHeader(only?: readonly string[]): Record<string, string>;
  /** @param headers undefined leaves one out. */
  send(method: string, path: string, body?: unknown, headers?: Record<string, string | undefined>): Promise<Response>;
  signIn(headers?: Record<string, string>): Promise<Response>;
  refresh(headers?: Record<string, string>): Promise<Response>;
};

export function createBrowser(server: Pick<AuthServer, 'request'>): Browser {
  const browser: Browser = {
    jar: new Map(),
    set: [],
    cookieHeader(only) {
      const pairs = [...browser.jar].filter(([name]) => !only || only.includes(name));
      return pairs.length === 0 ? {} : { cookie: pairs.map(([name, value]) => `${name}=${value}`).join('; ') };
    },
    async send(method, path, body, headers = {}) {
      const csrf = browser.jar.get('csrftoken') ?? browser.jar.get('__Host-csrftoken');
      const all = {
        'sec-fetch-site': 'same-origin',
        ...(csrf !== undefined && { 'x-csrftoken': csrf }),
        ...browser.cookieHeader(),
        ...headers,
      };
      const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
      const response = await server.request(method, path, body, given as Record<string, string>);
      keep(browser, response);
      return response;
    },
    signIn: (headers) => browser.send('POST', '/api/v1/login/', { email: EMAIL, password: PASSWORD }, headers),
    refresh: (headers) => browser.send('POST', '/api/v1/login/refresh/', undefined, headers),
  };
  return browser;
}

function keep(browser: Browser, response: Response): void {
  const set = response.headers.getSetCookie();
  if (set.length > 0) browser.set = set;
  for (const header of set) {
    const [pair = ''] = header.split(';');
    const [name = '', value = ''] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
    remember(value);
    if (/Max-Age=0\b/.test(header)) browser.jar.delete(name);
    else browser.jar.set(name, value);
  }
}

/** A second browser with the same cookies: another tab, or a thief. */
export function copyOf(server: Pick<AuthServer, 'request'>, browser: Browser): Browser {
  const copy = createBrowser(server);
  for (const [name, value] of browser.jar) copy.jar.set(name, value);
  return copy;
}

export async function codeOf(response: Response): Promise<string> {
  const text = await response.text();
  return text === ''
    ? String(response.status)
    : `${response.status} ${(JSON.parse(text) as { code?: string }).code ?? ''}`.trim();
}

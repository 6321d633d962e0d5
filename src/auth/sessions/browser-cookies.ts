import { ACCESS_COOKIE, HOST_PREFIX, readCookie } from '../../http/cookies.ts';

const NAMES = { access: ACCESS_COOKIE, refresh: 'refresh_token', csrf: 'csrftoken' } as const;
export type CookieName = keyof typeof NAMES;
const ALL = Object.keys(NAMES) as CookieName[];
/** Those that no script can read. */
const HTTP_ONLY: ReadonlySet<CookieName> = new Set(['access', 'refresh']);

/** How long a browser keeps it. */
type Valued = { value: string; maxAgeSeconds: number };

/** The cookies of a browser session, as `Set-Cookie` headers. @param isSecure over HTTPS. */
export function setCookies(values: Readonly<Record<CookieName, Valued>>, isSecure: boolean): string[] {
  return ALL.map((name) => headerOf(name, values[name], isSecure));
}

export function clearCookies(isSecure: boolean): string[] {
  return ALL.map((name) => headerOf(name, { value: '', maxAgeSeconds: 0 }, isSecure));
}

/** @returns undefined without it, and if there are two: then somebody else has set one. */
export function readSessionCookie(header: string | undefined, name: CookieName, isSecure: boolean): string | undefined {
  return readCookie(header, fullName(name, isSecure));
}

function headerOf(name: CookieName, { value, maxAgeSeconds }: Valued, isSecure: boolean): string {
  const flags = `${HTTP_ONLY.has(name) ? '; HttpOnly' : ''}${isSecure ? '; Secure' : ''}`;
  return `${fullName(name, isSecure)}=${value}; Path=/; Max-Age=${maxAgeSeconds}; SameSite=Strict${flags}`;
}

function fullName(name: CookieName, isSecure: boolean): string {
  return `${isSecure ? HOST_PREFIX : ''}${NAMES[name]}`;
}

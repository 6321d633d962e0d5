/** Browsers take a cookie of such a name over HTTPS alone, and from no other host (RFC 6265bis §4.1.3.2). */
export const HOST_PREFIX = '__Host-';

/** The cookie of a browser that is signed in, without the prefix. */
export const ACCESS_COOKIE = 'access_token';

const HOST_OF_LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * How cookies are set and read under this URL of the service: over HTTPS `secure`, on plain-HTTP loopback `plain`;
 * elsewhere no cookies, because they could be read on the way.
 */
export function cookieModeOf(base: string): 'secure' | 'plain' | 'none' {
  const { protocol, hostname } = new URL(base);
  if (protocol === 'https:') return 'secure';
  return isLoopbackName(hostname) ? 'plain' : 'none';
}

/** @param hostname as a URL has it. */
export function isLoopbackName(hostname: string): boolean {
  return HOST_OF_LOOPBACK.test(hostname);
}

/** The pairs of a `Cookie` header, as they were sent. */
export function pairsOf(header: string | undefined): string[] {
  return (header ?? '').split(';').map((pair) => pair.trim());
}

/** @returns undefined without this cookie, and if there are two of its name: somebody else has set one of them. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  const [found, ...more] = pairsOf(header).filter((pair) => pair.startsWith(`${name}=`));
  return more.length > 0 ? undefined : found?.slice(name.length + 1);
}

import { type ParsedLink, parseLink } from '../sealing.ts';
import { EXIT, Failure } from './failure.ts';

/** An address without TLS, other than this very machine, is refused: everybody on the way could read along. */
function refuseInsecure({ protocol, hostname }: URL, isAllowed: boolean | undefined, what: string): void {
  const isLoopback = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
  if (protocol === 'https:' || isLoopback || isAllowed) return;
  throw new Failure(
    EXIT.usage,
    `${what} begins with http: everybody on the way could read along. --insecure allows it.`,
  );
}

const DEFAULT_SERVER = 'http://127.0.0.1:8000';

/** @returns the address of the server to create on. */
export function parseServer(server: string | undefined, fromEnv: string | undefined, insecure?: boolean): string {
  const text = server ?? (fromEnv || DEFAULT_SERVER);
  const url = URL.canParse(text) ? new URL(text) : undefined; // not URL.parse: Node 22.0 has none
  const isSound = /^https?:\/\//i.test(text) && url && !url.username && !url.password && !url.search && !url.hash;
  if (!isSound) throw new Failure(EXIT.usage, 'the server must be an address such as https://secrets.example.com');
  refuseInsecure(url, insecure, 'The address of the server');
  return text;
}

const WHAT = { secret: 'a secret', request: 'a request', receipt: 'a receipt' } as const;
const USE = { secret: 'hushbox open', request: 'hushbox answer', receipt: 'hushbox receipt' } as const;

/**
 * @returns the parts of a link of these kinds.
 * @throws HushboxError SPOILT_LINK; Failure for a link of another kind, and for one without TLS.
 */
export function checkLink(link: string, kinds: readonly ParsedLink['kind'][], insecure?: boolean): ParsedLink {
  const parsed = parseLink(link);
  if (!kinds.includes(parsed.kind)) {
    throw new Failure(EXIT.usage, `this is the link of ${WHAT[parsed.kind]}: it is for \`${USE[parsed.kind]}\``);
  }
  refuseInsecure(new URL(parsed.base), insecure, 'The link');
  return parsed;
}

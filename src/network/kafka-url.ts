import { isIP } from 'node:net';

/** Where the brokers are, and how to get in. */
export type KafkaUrl = {
  /** Brokers to ask first: they name the others. */
  brokers: readonly { host: string; port: number }[];
  /** `servername`: by names, so that a name is asked for (SNI). Undefined: no TLS. */
  tls: { servername: boolean } | undefined;
  sasl: { mechanism: (typeof MECHANISMS)[number]; username: string; password: string } | undefined;
};

const MECHANISMS = ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'PLAIN'] as const;
const FORM =
  /^(?<scheme>kafkas?):\/\/(?:(?<username>[^\s:@/]+):(?<password>[^\s@/]+)@)?(?<brokers>[^\s@/?]+)\/?(?:\?sasl=(?<mechanism>[A-Z0-9-]+))?$/;
const MOST_BROKERS = 100;

/** The message about a wrong one; never its value, which may have a password. */
export const KAFKA_URL_FORM =
  'must be kafka://host:port,host:port or kafkas://user:password@host:port (with TLS), with what is special in ' +
  `user and password percent-encoded, and at the end perhaps ?sasl= and one of ${MECHANISMS.join(', ')}`;
export const KAFKA_URL_PLAIN = 'must begin with kafkas:// where it has a password, which would be sent unencrypted';

/** @returns a sentence about what is wrong for a text that is no such URL. */
export function parseKafkaUrl(text: string): KafkaUrl | string {
  const { scheme, username, password, brokers, mechanism = MECHANISMS[0] } = FORM.exec(text)?.groups ?? {};
  const list = brokers?.split(',').map(parseBroker) ?? [];
  const known = MECHANISMS.find((name) => name === mechanism);
  const sasl = parseLogIn(username, password);
  if (list.length === 0 || list.length > MOST_BROKERS || !known || sasl === 'wrong') return KAFKA_URL_FORM;
  if (!list.every((broker) => broker !== undefined)) return KAFKA_URL_FORM;
  if (sasl && scheme === 'kafka') return KAFKA_URL_PLAIN;
  if (!sasl && text.includes('?')) return KAFKA_URL_FORM;
  return {
    brokers: list,
    tls: scheme === 'kafkas' ? { servername: list.every(({ host }) => isIP(host) === 0) } : undefined,
    sasl: sasl && { mechanism: known, ...sasl },
  };
}

function parseLogIn(username: string | undefined, password: string | undefined) {
  if (username === undefined || password === undefined) return undefined;
  try {
    return { username: decodeURIComponent(username), password: decodeURIComponent(password) };
  } catch {
    return 'wrong';
  }
}

/** A port is required: nothing says which one a broker has. */
function parseBroker(text: string): { host: string; port: number } | undefined {
  const { host, port } = /^(?<host>[\w.-]+|\[[\da-f:.]+\]):(?<port>\d{1,5})$/i.exec(text)?.groups ?? {};
  if (host === undefined || !URL.canParse(`http://${host}:${port}`) || Number(port) === 0) return undefined;
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}

import type { IncomingMessage } from 'node:http';
import { parseAddress } from '../network/addresses.ts';

/** Whether the target is a URL and not a path: what a client sends to a proxy. */
export function isWholeUrl({ url = '' }: IncomingMessage): boolean {
  return !url.startsWith('/') && url !== '*';
}

/**
 * A request target may be a whole URL (RFC 9112 §3.2.2). It is this server's if its host and port are those that the
 * connection came in on, or those of the public address. On a unix socket the peer is a web server such as nginx, which
 * takes every host for its own: there, each request is an ordinary one.
 * @returns the URL if it is another server's; undefined for an ordinary request.
 */
export function findOtherServer(request: IncomingMessage, publicUrl: string | undefined): string | undefined {
  const { url = '', socket } = request;
  if (!isWholeUrl(request) || socket.localPort === undefined) return undefined;
  const target = new URL(url); // the server takes no other target
  const isOurs = isLocal(target, socket) || (publicUrl !== undefined && isSamePlace(target, new URL(publicUrl)));
  return isOurs ? undefined : url;
}

function isLocal(target: URL, { localAddress = '', localPort }: IncomingMessage['socket']): boolean {
  if (portOf(target) !== localPort) return false;
  const local = parseAddress(localAddress.replace(/%.*$/, ''));
  if (!local) return false;
  if (hostOf(target) === 'localhost') return local.range() === 'loopback';
  return parseAddress(hostOf(target))?.toString() === local.toString();
}

function isSamePlace(one: URL, other: URL): boolean {
  return hostOf(one) === hostOf(other) && portOf(one) === portOf(other);
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\.$|\]$/g, '');
}

function portOf({ port, protocol }: URL): number {
  return Number(port || (protocol === 'https:' ? 443 : 80));
}

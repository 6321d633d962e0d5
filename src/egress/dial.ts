import { isIP, type connect as netConnect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { networkOf, parseAddress } from '../network/addresses.ts';
import type { Destination } from './destination.ts';

/** With several addresses, how long each one except the last is tried. */
const TRY_MS = 500;
/** Of each family. */
const MAX_DIALLED = 2;

/** A destination, and all of its addresses that may be dialled, in the form that `parseAddress` gives. */
export type Target = { destination: Destination; addresses: readonly string[] };
export type Connect = typeof netConnect;
type Done = (error: Error | null, socket?: Socket) => void;

/** The addresses that are dialled: IPv4 first, since every network has it. */
export function pickDialled(addresses: readonly string[]): string[] {
  return [4, 6].flatMap((family) => addresses.filter((address) => isIP(address) === family).slice(0, MAX_DIALLED));
}

/** The network of an address; empty for anything else. */
export function networkAt(address = ''): string {
  const parsed = parseAddress(address);
  return parsed ? networkOf(parsed) : '';
}

/**
 * Connects to a vetted address; before a byte is sent, checks that the socket is connected to one. TLS checks the name,
 * with the certificates that Node trusts.
 * @returns gives up.
 */
export function dial({ destination, addresses }: Target, connect: Connect, onEnd: Done): (error: Error) => void {
  const { host, port, isTls } = destination;
  const found = pickDialled(addresses).map((address) => ({ address, family: isIP(address) }));
  const socket = connect({
    host: found.length === 1 ? (found[0]?.address as string) : host, // nothing is looked up for an address
    lookup: (_host, _options, answer) => answer(null, found),
    port,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: TRY_MS,
    noDelay: true,
  });
  let isDone = false; // later failures are seen by the owner of the socket
  const done: Done = (error, connected) => {
    if (!isDone) onEnd(error, connected);
    isDone = true;
  };
  socket.on('error', (error) => done(error));
  socket.once('connect', () => {
    if (!addresses.includes(peerOf(socket)) || socket.remotePort !== port) {
      socket.destroy(Object.assign(new Error('connected to an address that was not vetted'), { code: 'NOT_VETTED' }));
    } else if (isTls) secure(socket, host, done);
    else done(null, socket);
  });
  return (error) => socket.destroy(error);
}

/** The address at the other end, in the form that `parseAddress` gives. */
export function peerOf({ remoteAddress = '' }: Socket): string {
  return parseAddress(remoteAddress)?.toString() ?? '';
}

function secure(socket: Socket, host: string, done: Done): void {
  const secured = tlsConnect({
    socket,
    host, // the certificate must be for this
    servername: isIP(host) === 0 ? host : '',
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true, // NODE_TLS_REJECT_UNAUTHORIZED changes nothing
  });
  secured.on('error', (error) => done(error));
  secured.once('secureConnect', () => done(null, secured));
}

import { isIP, type connect as netConnect, type Socket } from 'node:net';
import { networkOf, parseAddress } from '../network/addresses.ts';
import type { Destination } from './destination.ts';
import { createLine, keepReadingAfterFailedWrite, type Line } from './line.ts';
import { secure } from './secure.ts';

/** With several addresses, how long each one except the last is tried. */
const TRY_MS = 500;
/** Of each family. */
const MAX_DIALLED = 2;

/** A destination, and all of its addresses that may be dialled, in the form that `parseAddress` gives. */
export type Target = { destination: Destination; addresses: readonly string[] };
export type Connect = typeof netConnect;
type OnEnd = (error: Error | null, line?: Line) => void;

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
 * Connects to a vetted address; before a byte is sent, checks that the socket is connected to one.
 * @returns gives up.
 */
export function dial({ destination, addresses }: Target, connect: Connect, onEnd: OnEnd): (error: Error) => void {
  const { host, port, isTls } = destination;
  const found = pickDialled(addresses).map((address) => ({ address, family: isIP(address) }));
  const wire = connect({
    host: found.length === 1 ? (found[0]?.address as string) : host, // nothing is looked up for an address
    lookup: (_host, _options, answer) => answer(null, found),
    port,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: TRY_MS,
    noDelay: true,
  });
  let isDone = false; // later failures are seen by the user of the line
  const done: OnEnd = (error, line) => {
    if (!isDone) onEnd(error, line);
    isDone = true;
  };
  wire.on('error', (error) => done(error));
  wire.once('connect', () => {
    const peer = peerOf(wire);
    if (!addresses.includes(peer) || wire.remotePort !== port) {
      wire.destroy(Object.assign(new Error('connected to an address that was not vetted'), { code: 'NOT_VETTED' }));
      return;
    }
    const failedWrite = keepReadingAfterFailedWrite(wire);
    if (!isTls) {
      done(null, createLine(wire, { wire, peer, whyBroken: () => whyReset(failedWrite()) }));
      return;
    }
    const secured = secure(wire, host);
    secured.on('error', (error) => done(error));
    secured.once('secureConnect', () => done(null, createLine(secured, { wire, peer, whyBroken: () => undefined })));
  });
  return (error) => wire.destroy(error);
}

/**
 * A write that fails on a reset takes the reset with it, and reading shows a clean end after it. Unless the other side
 * had ended the connection before: then the failure is EPIPE.
 */
function whyReset(failure: NodeJS.ErrnoException | undefined): Error | undefined {
  return failure?.code === 'EPIPE' ? undefined : failure;
}

/** The address at the other end, in the form that `parseAddress` gives. */
function peerOf({ remoteAddress = '' }: Socket): string {
  return parseAddress(remoteAddress)?.toString() ?? '';
}

import { AppError } from '../errors.ts';
import { type Address, type AllowEntry, parseAddress } from '../network/allow-list.ts';
import { createOwnAddresses, isIn, isPublic, type Range } from './addresses.ts';
import { type Destination, isOrdinary, type Rules } from './destination.ts';

type Entry = { port: number | undefined; host: string | undefined; range: Range | undefined };

export type Vet = (destination: Destination, rules: Rules, found: readonly Address[]) => readonly Address[];

/**
 * Decides which of the addresses of a destination may be dialled.
 *
 * Where a host is listed by its name, whatever it resolves to is meant. Else every address must be public or listed: one
 * that is neither, and all are refused but those that are listed. What is allowed to listed destinations alone (plain http
 * for webhooks, unusual ports) goes to listed addresses alone.
 * @param isOwn whether it is an address of this machine: these count as not public, whatever they are.
 * @returns none where there are none.
 * @throws AppError DESTINATION_FORBIDDEN.
 */
export function createVet(allowed: readonly AllowEntry[], isOwn = createOwnAddresses()): Vet {
  const entries = allowed.map(toEntry);
  const isOpen = (address: Address): boolean => isPublic(address) && !isOwn(address);

  return (destination, rules, found) => {
    const ofPort = entries.filter(({ port }) => port === undefined || port === destination.port);
    if (ofPort.some(({ host }) => host === destination.host)) return found;
    const isListed = (address: Address): boolean => ofPort.some(({ range }) => range && isIn(address, range));
    const isFree = isOrdinary(destination, rules);
    if (isFree && found.every((address) => isListed(address) || isOpen(address))) return found;
    const listed = found.filter(isListed);
    if (listed.length === 0) throw new AppError('DESTINATION_FORBIDDEN');
    return listed;
  };
}

function toEntry(entry: AllowEntry): Entry {
  const { port } = entry;
  if ('host' in entry) return { port, host: entry.host, range: undefined };
  const [address, bits] = entry.range;
  return { port, host: undefined, range: [parseAddress(address) as Address, bits] };
}

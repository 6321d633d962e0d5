import { AppError } from '../errors.ts';
import { type Address, isIn, parseAddress, type Range } from '../network/addresses.ts';
import type { AllowEntry } from '../network/allow-list.ts';
import { createOwnAddresses, isPublic } from './addresses.ts';
import { type Destination, isOrdinary, type Rules } from './destination.ts';

type Entry = { port: number | undefined; host: string | undefined; range: Range | undefined };

export type Vet = (destination: Destination, rules: Rules, found: readonly Address[]) => readonly Address[];

/**
 * Decides which addresses of a destination may be dialled.
 *
 * If a host is listed by its name, all of its addresses may be dialled. Otherwise every address must be public or listed:
 * a single one that is neither leaves only the listed ones. Requests that only listed destinations may get (plain http
 * for webhooks, unusual ports) go to listed addresses only.
 * @param isOwn whether an address belongs to this machine: then it does not count as public.
 * @returns nothing for a name without addresses.
 * @throws AppError DESTINATION_FORBIDDEN if none of its addresses may be dialled.
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

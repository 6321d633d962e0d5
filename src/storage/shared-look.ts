/** A look-up of one record at an instant. */
export type LookUp<Found> = (id: Uint8Array, now: number) => Promise<Found>;

type Shared<Found> = { now: number; found: Promise<Found> };
type UnderWay<Found> = { found: Promise<Found>; next?: Shared<Found> };

/**
 * While a record is looked up, all who ask for the same one wait for the next look-up, and share it: it begins after they
 * asked, so it is not older than they may expect. However many have a link, they cost no more than two look-ups at a time:
 * those of large records would take all the time that the storage has.
 */
export function shareLooks<Found>(lookUp: LookUp<Found>): LookUp<Found> {
  const all = new Map<string, UnderWay<Found>>();

  function begin(name: string, id: Uint8Array, now: number): Promise<Found> {
    const one: UnderWay<Found> = { found: lookUp(id, now) };
    all.set(name, one);
    const end = (): void => {
      if (!one.next) all.delete(name);
    };
    one.found.then(end, end);
    return one.found;
  }

  return (id, now) => {
    const name = Buffer.from(id).toString('latin1');
    const one = all.get(name);
    if (!one) return begin(name, id, now);
    if (one.next) {
      one.next.now = Math.max(one.next.now, now);
      return one.next.found;
    }
    const next: Shared<Found> = { now, found: one.found.catch(() => {}).then(() => begin(name, id, next.now)) };
    one.next = next;
    return next.found;
  };
}

/** A media range of `Accept` (RFC 9110 §12.5.1): its quality, and its place in the list. */
type Wish = { quality: number; place: number };

const QUALITY = /^(?:0(?:\.\d*)?|1(?:\.0*)?|\.\d+)$/;
/** From the general to the specific: the most specific range that is there decides. */
const TEXT_RANGES = ['*/*', 'text/*', 'text/plain'];
const JSON_RANGES = ['*/*', 'application/*', 'application/json'];

/**
 * Whether `Accept` prefers text/plain to application/json: a higher quality, or the same and named first. A range that is
 * malformed does not count.
 */
export function prefersText(accept: string | undefined): boolean {
  if (accept === undefined || !/text\//i.test(accept)) return false;
  const wishes = parseAccept(accept);
  const text = wishFor(TEXT_RANGES, wishes);
  const json = wishFor(JSON_RANGES, wishes);
  if (text.quality !== json.quality) return text.quality > json.quality;
  return text.quality > 0 && text.place < json.place;
}

function parseAccept(accept: string): Map<string, Wish> {
  const wishes = new Map<string, Wish>();
  for (const [place, element] of accept.split(',').entries()) {
    const [range = '', ...parameters] = element.split(';').map((part) => part.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? '1';
    const quality = QUALITY.test(weight) ? Number(weight) : Number.NaN;
    if (!(quality <= (wishes.get(range)?.quality ?? -1)) && !Number.isNaN(quality))
      wishes.set(range, { quality, place });
  }
  return wishes;
}

function wishFor(ranges: readonly string[], wishes: ReadonlyMap<string, Wish>): Wish {
  const range = ranges.findLast((name) => wishes.has(name));
  return (range !== undefined && wishes.get(range)) || { quality: 0, place: Number.POSITIVE_INFINITY };
}

const SECOND_MS = 1_000;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const TIME = '(?<hour>\\d{2}):(?<minute>\\d{2}):(?<second>\\d{2})';
const DAYS = '(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day';
/** RFC 9110 §5.6.7: the form to send, and the two older ones that every recipient must accept. */
const DATES: readonly RegExp[] = [
  new RegExp(`^[A-Z][a-z]{2}, (?<day>\\d{2}) (?<month>[A-Z][a-z]{2}) (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(`^${DAYS}, (?<day>\\d{2})-(?<month>[A-Z][a-z]{2})-(?<short>\\d{2}) ${TIME} GMT$`),
  new RegExp(`^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})$`),
];
const YEARS_AHEAD = 50;

/** The wait that a `Retry-After` asks for (RFC 9110 §10.2.3), in ms from `now`; `undefined` if it asks for no wait. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  const text = value?.replace(/^[\t ]+|[\t ]+$/g, '') ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text) * SECOND_MS, Number.MAX_SAFE_INTEGER);
  const at = parseDate(text, now);
  return at === undefined ? undefined : Math.max(0, at - now);
}

/** @returns ms since the epoch; undefined for anything but a real date. */
function parseDate(text: string, now: number): number | undefined {
  const found = DATES.map((form) => form.exec(text)?.groups).find((groups) => groups !== undefined);
  if (!found) return undefined;
  const { day, month = '', year, short, hour, minute, second } = found;
  const fullYear = year === undefined ? yearOf(Number(short), now) : Number(year);
  const dayAt = Date.UTC(fullYear, MONTHS.indexOf(month), Number(day)); // no month is -1, December of the year before
  const isDay = MONTHS.includes(month) && new Date(dayAt).getUTCDate() === Number(day);
  const isTime = Number(hour) < 24 && Number(minute) < 60 && Number(second) <= 60; // with a leap second
  return isDay && isTime ? dayAt + ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * SECOND_MS : undefined;
}

/** A year of two digits is in this century, or the last one if it would be more than 50 years ahead. */
function yearOf(short: number, now: number): number {
  const thisYear = new Date(now).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + short;
  return year > thisYear + YEARS_AHEAD ? year - 100 : year;
}

/** What a person says of themselves. Everything is optional, and kept as it was written. */
export type Profile = { [Name in ProfileMember]?: string | undefined };

export const PROFILE_MEMBERS = ['type', 'first_name', 'last_name', 'birth_date', 'sex'] as const;
export type ProfileMember = (typeof PROFILE_MEMBERS)[number];

/** In code points. */
export const PROFILE_TEXT_MAX = 50;

export function isShort(text: string): boolean {
  // In UTF-16 a code point has at most two units: what is longer need not be counted.
  return text.length <= 2 * PROFILE_TEXT_MAX && [...text].length <= PROFILE_TEXT_MAX;
}

const INSTANT =
  /^(\d{4}-\d{2}-\d{2})(?:T(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d{1,20})?)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))?$/i;

/** A date of the calendar, such as 2000-08-25, or with a time and its zone (RFC 3339 §5.6; seconds may be missing). */
export function isDateOrInstant(text: string): boolean {
  const [, date] = INSTANT.exec(text) ?? [];
  if (date === undefined) return false;
  const day = new Date(`${date}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(date);
}

/** As an account's `profile`. */
export function formatProfile(profile: Readonly<Profile>): string {
  return JSON.stringify(Object.fromEntries(PROFILE_MEMBERS.map((name) => [name, profile[name]])));
}

export function parseProfile(text: string): Profile {
  return JSON.parse(text) as Profile;
}

/** Members that are given replace those of before; null removes one. */
export type ProfileChanges = { readonly [Name in ProfileMember]?: string | null | undefined };

export function changeProfile(profile: Readonly<Profile>, changes: ProfileChanges): Profile {
  const changed = Object.entries({ ...profile, ...changes }).filter(([, value]) => value !== null);
  return Object.fromEntries(changed) as Profile;
}

/** An instant as every answer, page and event has it: ISO 8601 in UTC, with milliseconds. */
export function formatInstant(ms: number): string {
  return new Date(ms).toISOString();
}

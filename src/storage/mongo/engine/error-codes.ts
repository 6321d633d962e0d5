/** Error codes of MongoDB that are expected in some places. */
export const DUPLICATE_KEY = 11_000;
export const NAMESPACE_NOT_FOUND = 26;

/** Whether an error has this code, whatever its class. */
export function hasCode(error: unknown, code: number): boolean {
  return (error as { code?: unknown }).code === code;
}

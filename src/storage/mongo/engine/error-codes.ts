/** Error codes of MongoDB that are no failure where they are expected. */
export const DUPLICATE_KEY = 11_000;
export const NAMESPACE_NOT_FOUND = 26;

/** Whether an error has this code, whatever class the driver made it. */
export function hasCode(error: unknown, code: number): boolean {
  return (error as { code?: unknown }).code === code;
}

/** A message of the system names at most a host and a port; one of the driver or the server can quote more. */
export function reasonOf(error: unknown): string {
  const { cause, syscall, message } = error as { cause?: unknown; syscall?: unknown; message: string };
  if (cause instanceof Error) return reasonOf(cause);
  return syscall === undefined ? codeOf(error) : message;
}

/** Messages of the driver and the server can quote addresses and documents, so only the code or the name is kept. */
export function codeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: string };
  return typeof code === 'number' || typeof code === 'string' ? `error ${code}` : String(name);
}

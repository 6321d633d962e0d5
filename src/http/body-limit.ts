/** How long a body may be that carries a secret: each byte of text can arrive as an escape of six. */
export function bodyLimitBytes(secretMaxBytes: number): number {
  return 6 * (secretMaxBytes + 1024) + 4096;
}

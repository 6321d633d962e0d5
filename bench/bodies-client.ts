import { connect } from 'node:net';

/**
 * Sends large bodies all at once, or reads large answers slowly: each on a connection and from an address of its own,
 * because each client may have a quarter of the room. A process of its own; its argument is a `LargeLoad` as JSON, its
 * answer one line of JSON, the `LargeAnswer`s.
 */
export type LargeLoad = {
  port: number;
  bytes: number;
  /** How many secrets to create. */
  creates?: number;
  /** Which secrets to read. */
  reads?: readonly string[];
};
export type LargeAnswer = { status: number; key?: string; isWhole: boolean };

/** A slow reader pauses behind every piece that arrives, for its first seconds. */
const PAUSE_MS = 100;
const SLOW_MS = 5_000;

const { port, bytes, creates = 0, reads = [] } = JSON.parse(process.argv[2] as string) as LargeLoad;
const secret = Buffer.from(JSON.stringify({ secret: 'x'.repeat(bytes) }));

function ask(path: string, body: Buffer, index: number, slowMs: number): Promise<{ status: number; text: string }> {
  const localAddress = `127.2.${index >> 8}.${index & 255 || 1}`;
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const slowUntil = performance.now() + slowMs;
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (performance.now() > slowUntil) return;
      socket.pause();
      setTimeout(() => socket.resume(), PAUSE_MS);
    });
    socket.on('end', () => {
      const text = Buffer.concat(chunks).toString('latin1');
      resolve({ status: Number(text.slice(9, 12)), text: text.slice(text.indexOf('\r\n\r\n') + 4) });
    });
    socket.on('error', reject);
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    socket.end(body);
  });
}

const created = Array.from({ length: creates }, async (_, index): Promise<LargeAnswer> => {
  const { status, text } = await ask('/generate', secret, index, 0);
  return { status, key: JSON.parse(text).secret_key, isWhole: true };
});
const read = reads.map(async (key, index): Promise<LargeAnswer> => {
  const { status, text } = await ask(`/secrets/${key}`, Buffer.alloc(0), index, SLOW_MS);
  return { status, isWhole: text.length === secret.length };
});
process.stdout.write(JSON.stringify(await Promise.all([...created, ...read])));

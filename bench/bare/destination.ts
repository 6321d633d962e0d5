import { createServer } from 'node:net';

// Answers every request whose head and 64 bytes of body have come; small enough not to be what is measured.
const BODY_BYTES = 64;
const ANSWER = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok`);
const server = createServer({ noDelay: true }, (socket) => {
  let pending = '';
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    pending += chunk.toString('latin1');
    for (;;) {
      const end = pending.indexOf('\r\n\r\n');
      if (end < 0 || pending.length < end + 4 + BODY_BYTES) return;
      pending = pending.slice(end + 4 + BODY_BYTES);
      socket.write(ANSWER);
    }
  });
});
server.listen(Number(process.env.HTTP_PORT), '127.0.0.1', () => process.stdout.write('is ready on\n'));

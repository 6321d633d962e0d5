import { createServer, type Socket } from 'node:net';

// Receives events on every address of loopback, each a destination of its own, and takes down when each came; small enough
// not to be what is measured. GET answers the times by the id of the secret, and forgets them. One address never answers.
const HANGS = '127.9.9.9';
const DONE = 'HTTP/1.1 204 No Content\r\n\r\n';
const ID = '"secret_id":"';
const ID_DIGITS = 32;
let arrivals: Record<string, number> = {};

function answer(socket: Socket, text: string): string {
  if (text.startsWith('GET')) {
    const body = JSON.stringify(arrivals);
    arrivals = {};
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    return '';
  }
  const end = text.indexOf('\r\n\r\n');
  const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
  if (end < 0 || text.length < end + 4 + length) return text;
  const at = text.indexOf(ID, end) + ID.length;
  arrivals[text.slice(at, at + ID_DIGITS)] ??= performance.timeOrigin + performance.now();
  socket.write(DONE);
  return answer(socket, text.slice(end + 4 + length));
}

const server = createServer({ noDelay: true }, (socket) => {
  let pending = '';
  socket.on('error', () => {});
  if (socket.localAddress === HANGS) return void socket.resume();
  socket.on('data', (chunk) => {
    pending = answer(socket, pending + chunk.toString('latin1'));
  });
});
server.listen(Number(process.env.HTTP_PORT), '0.0.0.0', () => process.stdout.write('is ready on\n'));

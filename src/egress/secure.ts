import { isIP, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';

/**
 * Begins TLS on a connection. Checks the name, with the certificates that Node trusts.
 *
 * Anyone on the way can end a TCP connection, so only the `close_notify` of TLS is an end (RFC 8446 §6.1). Node takes
 * both for one. Here the bytes pass through a stream of our own, so that an end which comes from below is seen as such:
 * it fails with the code CUT_OFF.
 */
export function secure(wire: Socket, host: string): TLSSocket {
  const carrier = carry(wire);
  const socket = tlsConnect({
    socket: carrier,
    host, // the certificate must be for this
    servername: isIP(host) === 0 ? host : '',
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true, // NODE_TLS_REJECT_UNAUTHORIZED changes nothing
  });
  const push = socket.push.bind(socket);
  let isEnded = false;
  socket.push = (chunk, encoding) => {
    if (chunk === null && carrier.readableEnded) {
      if (!isEnded) socket.destroy(Object.assign(new Error('an end without close_notify'), { code: 'CUT_OFF' }));
      return false;
    }
    isEnded ||= chunk === null;
    return push(chunk, encoding);
  };
  return socket;
}

/** The bytes of a socket, as a stream that ends, after all of them, however the socket ends. */
function carry(wire: Socket): Duplex {
  let isOver = false;
  const carrier = new Duplex({
    read: () => void wire.resume(),
    write(chunk, encoding, done) {
      wire.write(chunk, encoding, (error) => {
        if (!error) done(); // otherwise reading shows the end
      });
    },
    final: (done) => void wire.end(() => done()),
    destroy(error, done) {
      wire.destroy();
      done(error);
    },
  });
  const end = (): void => {
    if (isOver) return;
    isOver = true;
    for (let rest = wire.read(); rest !== null; rest = wire.read()) carrier.push(rest);
    carrier.push(null);
  };
  wire.on('data', (chunk) => {
    if (!isOver && !carrier.push(chunk)) wire.pause();
  });
  wire.on('end', end).on('error', end).on('close', end);
  return carrier;
}

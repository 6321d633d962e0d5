import { Readable } from 'node:stream';

/**
 * The same bytes, read only on demand. Destroying this stream leaves the source as it is: undici destroys the body of a
 * request that failed, and the source may be a request that still has to be answered.
 */
export function lend(source: Readable): Readable {
  let isStarted = false;
  const onData = (chunk: Uint8Array): void => {
    if (!body.push(chunk)) source.pause();
  };
  const onEnd = (): void => {
    source.off('close', onBreak);
    body.push(null);
  };
  const onBreak = (): void => {
    body.destroy(new Error('the body of the request broke off'));
  };

  function start(): void {
    isStarted = true;
    if (source.readableEnded) onEnd();
    else if (source.destroyed) onBreak();
    else source.on('data', onData).once('end', onEnd).once('error', onBreak).once('close', onBreak);
  }

  const body = new Readable({
    read() {
      if (!isStarted) start();
      source.resume();
    },
    destroy(error, done) {
      source.off('data', onData).off('end', onEnd).off('error', onBreak).off('close', onBreak);
      if (isStarted) source.pause();
      done(error);
    },
  });
  return body;
}

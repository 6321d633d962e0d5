/** A value that crosses between the event loop and the storage thread. */
export type Value = null | number | Uint8Array;
export type Call = { procedure: number; values: readonly Value[] };

/** Runs one call on prepared statements. Values in and out are as the matching method of a store has them. */
export type Procedure = (...values: readonly never[]) => readonly Value[];

const NULL = 0;
const NUMBER = 1;
const BYTES = 2;

/**
 * Packs calls (or results: `procedure` is then a status) into one buffer of its own. One message for a batch, because
 * structured clone of many small arrays costs more than the SQL in them.
 */
export function encode(calls: readonly Call[]): Uint8Array<ArrayBuffer> {
  let size = 4;
  for (const { values } of calls) {
    size += 2;
    for (const value of values) size += sizeOf(value);
  }
  const buffer = Buffer.allocUnsafeSlow(size);
  let offset = buffer.writeUInt32LE(calls.length, 0);
  for (const { procedure, values } of calls) {
    buffer[offset++] = procedure;
    buffer[offset++] = values.length;
    for (const value of values) offset = write(buffer, offset, value);
  }
  return buffer;
}

/** The reverse of `encode`. Bytes in the result are copies: they do not keep the message alive. */
export function decode(message: Uint8Array): Call[] {
  const buffer = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  const calls = new Array<Call>(buffer.readUInt32LE(0));
  let offset = 4;
  for (let index = 0; index < calls.length; index++) {
    const procedure = buffer.readUInt8(offset);
    const values = new Array<Value>(buffer.readUInt8(offset + 1));
    offset += 2;
    for (let position = 0; position < values.length; position++) {
      const tag = buffer.readUInt8(offset);
      offset += 1;
      if (tag === NULL) values[position] = null;
      else if (tag === NUMBER) {
        values[position] = buffer.readDoubleLE(offset);
        offset += 8;
      } else {
        const end = offset + 4 + buffer.readUInt32LE(offset);
        values[position] = Uint8Array.prototype.slice.call(buffer, offset + 4, end);
        offset = end;
      }
    }
    calls[index] = { procedure, values };
  }
  return calls;
}

function sizeOf(value: Value): number {
  if (value === null) return 1;
  return typeof value === 'number' ? 9 : 5 + value.byteLength;
}

function write(buffer: Buffer, offset: number, value: Value): number {
  if (value === null) return buffer.writeUInt8(NULL, offset);
  if (typeof value === 'number') return buffer.writeDoubleLE(value, buffer.writeUInt8(NUMBER, offset));
  const start = buffer.writeUInt32LE(value.byteLength, buffer.writeUInt8(BYTES, offset));
  buffer.set(value, start);
  return start + value.byteLength;
}

/** A value that crosses between the event loop and the storage thread. */
export type Value = null | boolean | number | string | Uint8Array | readonly Value[];
/** A call: the number of a procedure and its arguments; or a result: a status and what the procedure returned. */
export type Message = { head: number; value: Value };

const NULL = 0;
const FALSE = 1;
const TRUE = 2;
const NUMBER = 3;
const TEXT = 4;
const BYTES = 5;
const LIST = 6;

/**
 * Packs messages into one buffer. One buffer for a batch, because structured clone of many small arrays costs more than
 * the SQL in them.
 * @throws RangeError for a head beyond one byte, TypeError for a value of another type.
 */
export function encode(messages: readonly Message[]): Uint8Array<ArrayBuffer> {
  let size = 4;
  for (const { value } of messages) size += 1 + sizeOf(value);
  const buffer = Buffer.allocUnsafeSlow(size);
  let offset = buffer.writeUInt32LE(messages.length, 0);
  for (const { head, value } of messages) {
    offset = write(buffer, buffer.writeUInt8(head, offset), value); // which throws for a head beyond one byte
  }
  return buffer;
}

/**
 * The reverse of `encode`.
 * @param bytes `copied` values do not keep the whole buffer alive; `viewed` ones are faster, for a reader that does not
 *   keep them.
 */
export function decode(packed: Uint8Array, bytes: 'copied' | 'viewed' = 'copied'): Message[] {
  const buffer = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  let offset = 4;

  function takeValue(): Value {
    const tag = buffer[offset++];
    if (tag === NULL) return null;
    if (tag === FALSE) return false;
    if (tag === TRUE) return true;
    if (tag === NUMBER) {
      offset += 8;
      return buffer.readDoubleLE(offset - 8);
    }
    const start = offset + 4;
    const length = buffer.readUInt32LE(offset);
    offset = start;
    if (tag === LIST) {
      const list = new Array<Value>(length);
      for (let index = 0; index < length; index++) list[index] = takeValue();
      return list;
    }
    offset += length;
    if (tag === TEXT) return buffer.toString('utf8', start, offset);
    return bytes === 'viewed' ? buffer.subarray(start, offset) : Uint8Array.prototype.slice.call(buffer, start, offset);
  }

  const messages = new Array<Message>(buffer.readUInt32LE(0));
  for (let index = 0; index < messages.length; index++) {
    messages[index] = { head: buffer.readUInt8(offset++), value: takeValue() };
  }
  return messages;
}

/** The bytes that a value takes when it is packed. @throws TypeError when it cannot be packed. */
export function sizeOf(value: Value): number {
  if (value === null || typeof value === 'boolean') return 1;
  if (typeof value === 'number') return 9;
  if (typeof value === 'string') return 5 + Buffer.byteLength(value);
  if (value instanceof Uint8Array) return 5 + value.byteLength;
  if (!Array.isArray(value)) throw new TypeError(`a value of type ${typeof value} cannot be packed`);
  let size = 5;
  for (const one of value) size += sizeOf(one);
  return size;
}

function write(buffer: Buffer, offset: number, value: Value): number {
  if (value === null) return buffer.writeUInt8(NULL, offset);
  if (typeof value === 'boolean') return buffer.writeUInt8(value ? TRUE : FALSE, offset);
  if (typeof value === 'number') return buffer.writeDoubleLE(value, buffer.writeUInt8(NUMBER, offset));
  if (typeof value === 'string') {
    const length = buffer.write(value, offset + 5);
    return buffer.writeUInt32LE(length, buffer.writeUInt8(TEXT, offset)) + length;
  }
  if (value instanceof Uint8Array) {
    buffer.set(value, buffer.writeUInt32LE(value.byteLength, buffer.writeUInt8(BYTES, offset)));
    return offset + 5 + value.byteLength;
  }
  let end = buffer.writeUInt32LE(value.length, buffer.writeUInt8(LIST, offset));
  for (const one of value) end = write(buffer, end, one);
  return end;
}

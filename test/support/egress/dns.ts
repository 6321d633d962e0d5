import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { ExecutionContext } from 'ava';
import ipaddr from 'ipaddr.js';

/** An address, or `CNAME name`. */
type RecordText = string;
/** What a name has: nothing at all is no such name. `asked` counts the questions for this name, from 0. */
export type Zone = (name: string, asked: number) => readonly RecordText[] | 'silence' | undefined;
export type DnsServer = {
  /** As EGRESS_DNS takes it. */
  address: string;
  /** Names asked for, each as often as it was. */
  asked: string[];
};

const TYPES = { A: 1, CNAME: 5, AAAA: 28 } as const;
const NO_SUCH_NAME = 3;

/** A name server of a test's own, over UDP: A and AAAA, TTL 0; a CNAME is followed in its own zone. */
export async function startDns(t: ExecutionContext, zone: Zone): Promise<DnsServer> {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (query, { port, address }) => {
    const { name, type, end } = readQuestion(query);
    const records = zone(name, asked.filter((other) => other === `${type} ${name}`).length);
    asked.push(`${type} ${name}`);
    if (records === 'silence') return;
    const answers =
      records && follow(zone, name, records).filter((one) => one.type === type || one.type === TYPES.CNAME);
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(0x8580 + (answers ? 0 : NO_SUCH_NAME), 2);
    head.writeUInt16BE(answers?.length ?? 0, 6);
    head.fill(0, 8); // no authority, nothing additional
    socket.send(Buffer.concat([head, query.subarray(12, end), ...(answers ?? []).map(writeRecord)]), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return { address: `127.0.0.1:${socket.address().port}`, asked };
}

type Answer = { name: string; type: number; data: Buffer };

function follow(zone: Zone, name: string, records: readonly RecordText[]): Answer[] {
  return records.flatMap((text) => {
    if (!text.startsWith('CNAME ')) {
      const address = ipaddr.parse(text);
      const type = address.kind() === 'ipv4' ? TYPES.A : TYPES.AAAA;
      return [{ name, type, data: Buffer.from(address.toByteArray()) }];
    }
    const target = text.slice('CNAME '.length);
    const further = zone(target, 0);
    const rest = Array.isArray(further) ? follow(zone, target, further) : [];
    return [{ name, type: TYPES.CNAME, data: writeName(target) }, ...rest];
  });
}

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] as number; length > 0; length = query[at] as number) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function writeName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1'));
  return Buffer.concat([...labels, Buffer.of(0)]);
}

function writeRecord({ name, type, data }: Answer): Buffer {
  const fixed = Buffer.alloc(10); // class IN, TTL 0
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([writeName(name), fixed, data]);
}

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Arguments of strace for a trace that `parseTrace` reads: every change to a disk, and what is written to sockets. */
export const STRACE = [
  ...['-f', '-y', '-xx', '-s', '10000000', '-e'],
  'trace=openat,write,writev,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat',
] as const;

/** A system call, by the lines of the trace where it began and where it had returned. */
type Call = { name: string; from: number; to: number; text: string };
type Change = { at: number; write: { offset: number; bytes: Buffer } } | { at: number; truncate: number };
type Inode = { durable: Buffer; pending: Change[]; length: number };
/** What a folder lists after a change of it. */
type Naming = { at: number; apply(names: Map<string, Inode>): void };

export type Trace = { calls: readonly Call[]; lines: number };

export function parseTrace(path: string): Trace {
  const lines = readFileSync(path, 'latin1').split('\n');
  const begun = new Map<string, { from: number; text: string }>();
  const calls: Call[] = [];
  for (const [index, line] of lines.entries()) {
    const { thread = '', rest = '' } = /^(?<thread>\d+) +(?<rest>.*)$/.exec(line)?.groups ?? {};
    const unfinished = / <unfinished \.\.\.>$/.exec(rest);
    const resumed = /^<\.\.\. \w+ resumed>/.exec(rest);
    if (unfinished) begun.set(thread, { from: index, text: rest.slice(0, unfinished.index) });
    else {
      const start = resumed ? begun.get(thread) : undefined;
      const text = start ? start.text + rest.slice(resumed?.[0].length) : rest;
      const name = /^(\w+)\(/.exec(text)?.[1];
      if (name && !/ = -1 /.test(text.slice(-80))) calls.push({ name, from: start?.from ?? index, to: index, text });
    }
  }
  return { calls: calls.sort((a, b) => a.from - b.from), lines: lines.length };
}

/** The bytes written to sockets, each with the line where that began. */
export function sentIn({ calls }: Trace): { at: number; text: string }[] {
  return calls
    .filter(({ name, text }) => /^writev?$/.test(name) && /^writev?\(\d+<(?!\/|\\x2f)/.test(text))
    .map(({ from, text }) => ({ at: from, text: stringsOf(text).join('') }));
}

/**
 * Writes what a disk holds after the power failed at a line of the trace: everything that was synced by then, and of
 * the rest whatever chance leaves, sector by sector. Names of files follow the order in which they changed.
 * @param chance in [0, 1), asked for each choice.
 * @param isSynced whether a sync of this file counts; the default is the truth.
 */
export function rebuildDisk(
  { calls }: Trace,
  { folder, to, cutAt, chance }: { folder: string; to: string; cutAt: number; chance: () => number },
  isSynced: (file: string) => boolean = () => true,
): void {
  const disk = createDisk(folder);
  const syncs: { call: Call; path: string }[] = [];
  for (const call of calls.filter(({ from }) => from < cutAt)) {
    while (syncs[0] && syncs[0].call.to < call.from) finishSync(syncs.shift());
    const path = pathOf(call.text);
    if (/^f(data)?sync$/.test(call.name)) {
      if (path && call.to < cutAt && isSynced(basename(path))) syncs.push({ call, path });
      syncs.sort((a, b) => a.call.to - b.call.to);
    } else disk.apply(call, path);
  }
  for (const sync of syncs) finishSync(sync);
  disk.writeTo(to, chance);

  function finishSync(sync: { call: Call; path: string } | undefined): void {
    if (sync) disk.sync(sync.path, sync.call.from);
  }
}

function createDisk(folder: string) {
  const names = new Map<string, Inode>();
  let durableNames = new Map<string, Inode>();
  let namings: Naming[] = [];
  const isOurs = (path: string): boolean => dirname(path) === folder && !path.endsWith('-shm');

  function rename(at: number, apply: Naming['apply']): void {
    apply(names);
    namings.push({ at, apply });
  }

  function change(inode: Inode, made: Change): void {
    inode.pending.push(made);
    inode.length = 'truncate' in made ? made.truncate : Math.max(inode.length, endOf(made.write));
  }

  return {
    apply({ name, text, from: at }: Call, path: string | undefined): void {
      const strings = /^(open|link|unlink|rename)/.test(name) ? stringsOf(text) : [];
      const [first = '', second = ''] = strings;
      const inode = path && isOurs(path) ? names.get(path) : undefined;
      if (name === 'openat' && isOurs(first)) {
        if (text.includes('O_CREAT') && !names.has(first)) {
          const fresh = { durable: Buffer.alloc(0), pending: [], length: 0 };
          rename(at, (all) => void all.set(first, fresh));
        }
        const opened = names.get(first);
        if (opened && text.includes('O_TRUNC')) change(opened, { at, truncate: 0 });
      } else if (name.startsWith('link') && isOurs(second)) {
        const linked = names.get(first);
        if (linked) rename(at, (all) => void all.set(second, linked));
      } else if (name.startsWith('rename') && isOurs(second)) {
        const moved = names.get(first);
        if (!moved) return; // a socket
        rename(at, (all) => {
          all.set(second, moved);
          all.delete(first);
        });
      } else if (name.startsWith('unlink') && names.has(first)) rename(at, (all) => void all.delete(first));
      else if (inode && name === 'ftruncate') change(inode, { at, truncate: Number(/, (\d+)\)/.exec(text)?.[1]) });
      else if (inode && name === 'pwrite64') {
        const offset = Number(/, (\d+)\) += /.exec(text)?.[1]);
        change(inode, { at, write: { offset, bytes: bytesOf(text) } });
      } else if (inode && name === 'write')
        change(inode, { at, write: { offset: inode.length, bytes: bytesOf(text) } });
    },

    /** What was done before `at` stays from now on. */
    sync(path: string, at: number): void {
      if (path === folder) {
        durableNames = new Map(durableNames);
        for (const naming of namings.filter((one) => one.at < at)) naming.apply(durableNames);
        namings = namings.filter((one) => one.at >= at);
      }
      const inode = names.get(path);
      if (!inode) return;
      for (const made of inode.pending.filter((one) => one.at < at)) inode.durable = changed(inode.durable, made);
      inode.pending = inode.pending.filter((one) => one.at >= at);
    },

    writeTo(to: string, chance: () => number): void {
      const kept = new Map(durableNames);
      for (const naming of namings.slice(0, Math.round(chance() * namings.length))) naming.apply(kept);
      mkdirSync(to, { recursive: true });
      for (const [path, inode] of kept) {
        let bytes = inode.durable;
        for (const made of inode.pending) bytes = changed(bytes, torn(made, chance));
        writeFileSync(join(to, basename(path)), bytes, { mode: 0o600 });
      }
    },
  };
}

const SECTOR_BYTES = 512;

/** A third of what was not synced is there, a third is not, of a third only the first sectors. */
function torn(made: Change, chance: () => number): Change | undefined {
  const luck = chance();
  if (luck < 1 / 3) return undefined;
  if (luck < 2 / 3 || 'truncate' in made) return made;
  const { offset, bytes } = made.write;
  const sectors = Math.floor((chance() * bytes.length) / SECTOR_BYTES);
  return { at: made.at, write: { offset, bytes: bytes.subarray(0, sectors * SECTOR_BYTES) } };
}

function changed(before: Buffer, made: Change | undefined): Buffer {
  if (!made) return before;
  if ('truncate' in made) return Buffer.concat([before.subarray(0, made.truncate)], made.truncate);
  const after = Buffer.concat([before], Math.max(before.length, endOf(made.write)));
  made.write.bytes.copy(after, made.write.offset);
  return after;
}

function endOf({ offset, bytes }: { offset: number; bytes: Buffer }): number {
  return offset + bytes.length;
}

function stringsOf(text: string): string[] {
  return [...text.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex]) => fromHex(hex as string).toString('latin1'));
}

function bytesOf(text: string): Buffer {
  return fromHex(/"((?:\\x[0-9a-f]{2})*)"/.exec(text)?.[1] as string);
}

/** Of the file that the call's descriptor leads to. */
function pathOf(text: string): string | undefined {
  const name = /^\w+\(\d+<([^>]*)>/.exec(text)?.[1];
  return name?.startsWith('\\x') ? fromHex(name).toString('latin1') : name;
}

function fromHex(escaped: string): Buffer {
  return Buffer.from(escaped.replaceAll('\\x', ''), 'hex');
}

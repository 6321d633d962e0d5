import { parseArgs } from 'node:util';

export type Command =
  | { name: 'help' }
  | { name: 'version' }
  | { name: 'doctor'; json: boolean }
  | { name: 'rotate'; out: string | undefined }
  | { name: 'key-status' }
  | { name: 'prune' };

export const USAGE = `Usage: hushbox COMMAND

Reads the same environment variables as the service: run it where the service runs, as the same user.

  doctor [--json]              looks at configuration, keys, storage, clock, permissions and the running service, and
                               says what to do. Changes nothing.
  rotate-master-key            makes a new master key and keeps the old one for reading, in the files the keys are in.
      --out FILE               only writes the new key to FILE: for keys that are variables, or on several hosts
      --status                 only tells which key seals how much, and until when each is needed
      --prune                  takes the keys that nothing needs any more out of the files
  --help, --version

Exit status: 0 fine, 1 something is wrong, 2 wrong use.
`;

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
  json: { type: 'boolean' },
  out: { type: 'string' },
  status: { type: 'boolean' },
  prune: { type: 'boolean' },
} as const;

/** @throws Error that says what is wrong with them. */
export function parseArguments(args: readonly string[]): Command {
  const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  const { help, version, ...options } = values;
  if (help) return { name: 'help' };
  if (version) return { name: 'version' };
  const [name, ...files] = positionals;
  const given = Object.keys(options);
  if (name === 'doctor') return takes(given, ['json'], files, 0) && { name, json: options.json ?? false };
  if (name === 'rotate-master-key') {
    if (given.length > 1) throw new Error('--out, --status and --prune exclude each other');
    takes(given, ['out', 'status', 'prune'], files, 0);
    if (options.status) return { name: 'key-status' };
    return options.prune ? { name: 'prune' } : { name: 'rotate', out: options.out };
  }
  throw new Error(name === undefined ? 'which command?' : 'there is no such command');
}

function takes(
  given: readonly string[],
  options: readonly string[],
  files: readonly string[],
  fileCount: number,
): true {
  const other = given.find((name) => !options.includes(name));
  if (other) throw new Error(`this command takes no --${other}`);
  if (files.length > fileCount) throw new Error('too many arguments');
  if (files.length < fileCount) throw new Error('which FILE?');
  return true;
}

import { parseArgs } from 'node:util';
import { EXIT, Failure, WrongUse } from './failure.ts';

const OPTIONS = {
  server: { type: 'string' },
  insecure: { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  phrase: { type: 'boolean' },
  ttl: { type: 'string' },
  receipt: { type: 'boolean' },
  notify: { type: 'string' },
  copies: { type: 'string' },
  plain: { type: 'boolean' },
  out: { type: 'string' },
  env: { type: 'string', multiple: true },
  note: { type: 'string' },
  wait: { type: 'boolean' },
} as const;

export type OptionName = keyof typeof OPTIONS;

/** What each command understands beside the options that all have. */
export const COMMANDS = {
  send: ['phrase', 'ttl', 'receipt', 'notify', 'copies', 'plain'],
  open: ['out'],
  exec: ['env'],
  look: [],
  receipt: [],
  burn: [],
  request: ['note', 'ttl', 'notify', 'wait', 'out'],
  answer: ['receipt'],
} as const satisfies Readonly<Record<string, readonly OptionName[]>>;

export const COMMON = ['server', 'insecure', 'json', 'help'] as const satisfies readonly OptionName[];

export type CommandName = keyof typeof COMMANDS;

export type Options = {
  server?: string;
  insecure?: boolean;
  json?: boolean;
  help?: boolean;
  phrase?: boolean;
  ttl?: string;
  receipt?: boolean;
  notify?: string;
  copies?: string;
  plain?: boolean;
  out?: string;
  env?: string[];
  note?: string;
  wait?: boolean;
};

export type Arguments = {
  options: Options;
  operands: readonly string[];
  /** Of `exec`: what comes after `--`. */
  command: readonly string[];
};

export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}

export function takesValue(name: OptionName): boolean {
  return OPTIONS[name].type === 'string';
}

/** @throws WrongUse. It quotes no value. */
export function parseArguments(name: CommandName, args: readonly string[]): Arguments {
  const end = name === 'exec' && args.includes('--') ? args.indexOf('--') : args.length;
  const known = [...COMMON, ...COMMANDS[name]].map((option) => [option, OPTIONS[option]] as const);
  try {
    const { values, positionals } = parseArgs({
      args: args.slice(0, end),
      options: Object.fromEntries(known),
      allowPositionals: true,
    });
    return { options: { ...values } as Options, operands: positionals, command: args.slice(end + 1) };
  } catch (error) {
    throw new WrongUse((error as Error).message);
  }
}

/** Whether an option was given that is of no use beside another. */
export function refuseBoth(first: unknown, second: unknown, message: string): void {
  if (first !== undefined && first !== false && second !== undefined && second !== false) throw new WrongUse(message);
}

/** @returns the one operand of a command. */
export function onlyOperand({ operands }: Arguments, what: string): string {
  const [operand = '', more] = operands;
  if (operand === '' || more !== undefined) throw new WrongUse(operand ? 'too many arguments' : `which ${what}?`);
  return operand;
}

/** A number of days, hours and minutes, such as 3d4h5m. */
export function parseLifetime(text: string | undefined) {
  if (text === undefined) return undefined;
  const { days, hours, minutes } =
    /^(?=.)(?:(?<days>\d{1,6})d)?(?:(?<hours>\d{1,6})h)?(?:(?<minutes>\d{1,6})m)?$/.exec(text)?.groups ?? {};
  const lifetime = { days: Number(days ?? 0), hours: Number(hours ?? 0), minutes: Number(minutes ?? 0) };
  if (!Object.values(lifetime).some(Boolean)) {
    throw new Failure(EXIT.usage, '--ttl takes days, hours and minutes, such as 3d4h5m, and at least 1m');
  }
  return lifetime;
}

const COPIES_MAX = 100;

export function parseCopies(text = '1'): number {
  const copies = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (copies < 1 || copies > COPIES_MAX)
    throw new Failure(EXIT.usage, `--copies takes a number from 1 to ${COPIES_MAX}`);
  return copies;
}

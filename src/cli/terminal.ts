import { statSync } from 'node:fs';
import type { Config } from '../config/config.ts';

/** Where a command reads from and writes to. */
export type Terminal = {
  env: Readonly<Record<string, string | undefined>>;
  now(): number;
  /** A line on stdout. */
  say(line: string): void;
  /** A line on stderr. */
  complain(line: string): void;
};

export const EXIT = { fine: 0, problems: 1, usage: 2 } as const;
export type Exit = (typeof EXIT)[keyof typeof EXIT];

/** What went wrong, in a sentence for people; ends the command. */
export class Failure extends Error {
  override readonly name = 'Failure';
}

/** A command with its options; the configuration is good. */
export type Run<Options> = (terminal: Terminal, config: Config, options: Options) => Promise<Exit>;

/** A sentence for people, of an error that is one of ours, the system's or an engine's: none of them quotes a value. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'an unknown failure';
  const cause = error.cause instanceof Error ? `: ${describe(error.cause)}` : '';
  return error.message + cause;
}

/** Whether there is a database to look at; a server is asked later. @throws Error where that may not be seen. */
export function isDatabaseThere({ sqlitePath }: Pick<Config, 'sqlitePath'>): boolean {
  return sqlitePath === undefined || statSync(sqlitePath, { throwIfNoEntry: false }) !== undefined;
}

/** As people write it: 1,234 secrets. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

export function instant(ms: number): string {
  return new Date(ms).toISOString();
}

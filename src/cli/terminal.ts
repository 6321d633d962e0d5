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
  /** Asks a person. @returns the answer; undefined where stdin is no terminal. */
  ask(question: string): Promise<string | undefined>;
  /** The same, and does not show the answer. */
  askHidden(question: string): Promise<string | undefined>;
};

export const EXIT = { fine: 0, problems: 1, usage: 2 } as const;
export type Exit = (typeof EXIT)[keyof typeof EXIT];

/** Ends the command. The message is a sentence for people. */
export class Failure extends Error {
  override readonly name = 'Failure';
}

/**
 * A sentence for people about an error of ours, of the system or of an engine: none of them quotes a value. Of a chain of
 * causes only the first and the innermost help.
 */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'an unknown failure';
  const { message } = innermost(error);
  return message === error.message ? message : `${error.message}: ${message}`;
}

function innermost(error: Error): Error {
  return error.cause instanceof Error ? innermost(error.cause) : error;
}

/** Whether there is a database file; a server is asked later. @throws Error of the file system. */
export function isDatabaseThere({ sqlitePath }: Pick<Config, 'sqlitePath'>): boolean {
  return sqlitePath === undefined || statSync(sqlitePath, { throwIfNoEntry: false }) !== undefined;
}

/** A number as people write it: 1,234 secrets. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

export function instant(ms: number): string {
  return new Date(ms).toISOString();
}

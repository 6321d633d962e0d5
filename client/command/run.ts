import { type CommandName, isCommand, parseArguments } from './arguments.ts';
import type { Context, Environment } from './context.ts';
import { describe, EXIT, exitOf, isCoded, WrongUse } from './failure.ts';
import { complain, printLine } from './terminal.ts';
import { visibleJson } from './visible.ts';

/** Each is loaded when it is used, which keeps the start short. */
const RUN: Readonly<Record<CommandName, () => Promise<(context: Context) => Promise<number>>>> = {
  send: async () => (await import('./send.ts')).send,
  open: async () => (await import('./open.ts')).open,
  exec: async () => (await import('./exec.ts')).exec,
  look: async () => (await import('./look.ts')).look,
  receipt: async () => (await import('./look.ts')).receipt,
  burn: async () => (await import('./look.ts')).burn,
  request: async () => (await import('./request.ts')).request,
  answer: async () => (await import('./request.ts')).answer,
};

/** Runs a command of users. @returns what to exit with. */
export async function run([name = '', ...args]: readonly string[], env: Environment): Promise<number> {
  try {
    if (isCommand(name)) return await runCommand(name, args, env);
    return await runOther(name, args);
  } catch (error) {
    report(error, name, args.slice(0, endOf(args)).includes('--json'));
    return exitOf(error);
  }
}

/** What follows `--` is not ours. */
function endOf(args: readonly string[]): number {
  const at = args.indexOf('--');
  return at < 0 ? args.length : at;
}

async function runCommand(name: CommandName, args: readonly string[], env: Environment): Promise<number> {
  const parsed = parseArguments(name, args);
  if (parsed.options.help) return printHelp(name);
  const { createContext } = await import('./context.ts');
  const command = await RUN[name]();
  return command(createContext(parsed, env));
}

async function runOther(name: string, args: readonly string[]): Promise<number> {
  if (name === '--version') {
    const { createRequire } = await import('node:module');
    await printLine(createRequire(import.meta.url)('hushbox/package.json').version);
    return EXIT.done;
  }
  if (['help', '--help', '-h'].includes(name)) return printHelp(args[0]);
  if (name !== 'completion') throw new WrongUse(name === '' ? 'which command? `hushbox help` lists them' : UNKNOWN);
  if (args.includes('--help') || args.includes('-h')) return printHelp(name);
  const { completionFor } = await import('./completion.ts');
  await printLine(completionFor(args[0]).trimEnd());
  return EXIT.done;
}

const UNKNOWN = 'there is no such command; `hushbox help` lists them';

async function printHelp(name: string | undefined): Promise<number> {
  const { HELP, USAGE } = await import('./help.ts');
  if (name !== undefined && !Object.hasOwn(HELP, name)) throw new WrongUse(UNKNOWN);
  await printLine((name === undefined ? USAGE : HELP[name as CommandName]).trimEnd());
  return EXIT.done;
}

/** The shape of errors is that of the server's. */
function report(error: unknown, name: string, isJson: boolean): void {
  const sentence = describe(error);
  if (isJson) {
    const code = isCoded(error) ? error.code : exitOf(error) === EXIT.usage ? 'WRONG_USE' : 'FAILED';
    const { triesLeft, retryAfterSeconds } = isCoded(error) ? error : {};
    const members = { Error: sentence, code, tries_left: triesLeft, retry_after_seconds: retryAfterSeconds };
    complain(visibleJson(members));
  } else {
    complain(`hushbox: ${sentence}`);
    if (error instanceof WrongUse && isCommand(name)) complain(`hushbox help ${name} shows how.`);
  }
}

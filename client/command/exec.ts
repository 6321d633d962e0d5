import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Hushbox } from '../hushbox.ts';
import { checkLink } from './addresses.ts';
import type { Context, Environment } from './context.ts';
import { describe, EXIT, exitOf, Failure, systemCode, WrongUse } from './failure.ts';
import { findCommand } from './find-command.ts';
import { warnOfLink } from './input.ts';
import { complain } from './terminal.ts';
import { uninterrupted } from './uninterrupted.ts';

/** A link, and the variables that get its secret. */
type Source = { link: string; names: string[]; box: Hushbox; phrase?: string };

/** Runs a command with secrets in its environment. They are looked at first: what can be known before uses nothing up. */
export async function exec(context: Context): Promise<number> {
  const { operands, command, env } = context;
  const [name] = command;
  if (operands.length > 0 || name === undefined) throw new WrongUse('the command follows --');
  const sources = parseSources(context);
  const path = findCommand(name, env);
  for (const source of sources) await lookAt(source, context);
  // Those with a phrase come first: when it is wrong, nothing is used up yet.
  const inOrder = sources.toSorted((a, b) => Number(a.phrase === undefined) - Number(b.phrase === undefined));
  const secrets = await uninterrupted((interrupted) => readAll(inOrder, interrupted));
  return runCommand(path, command, env, secrets);
}

function parseSources({ options, env, openLinks }: Context): Source[] {
  const given = options.env ?? [];
  if (given.length === 0) throw new WrongUse('which variable? --env NAME=LINK');
  const sources = new Map<string, Source>();
  const seen = new Set<string>();
  for (const one of given) {
    const [name = '', ...rest] = one.split('=');
    if (!/^[A-Za-z_]\w*$/.test(name))
      throw new WrongUse('--env takes NAME=LINK, or the NAME of a variable with a link');
    if (seen.has(name)) throw new WrongUse(`--env names ${name} twice`);
    seen.add(name);
    const link = rest.length > 0 ? rest.join('=') : env[name];
    if (!link) throw new WrongUse(`the variable ${name} holds no link`);
    warnOfLink(rest.join('='), 'set a variable to it, and use --env NAME alone');
    const { base, key } = naming([name], () => checkLink(link, ['secret'], options.insecure));
    const known = sources.get(`${base} ${key}`);
    // A link that stands for two variables is read once.
    if (known?.link === link) known.names.push(name);
    else if (known) throw new WrongUse(`${name} and ${known.names[0]} are different links of one secret`);
    else sources.set(`${base} ${key}`, { link, names: [name], box: openLinks(base) });
  }
  return [...sources.values()];
}

/** Says which variable a failure is about. */
function naming<T>(names: readonly string[], work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw named(names, error);
  }
}

function named(names: readonly string[], error: unknown): Failure {
  return new Failure(exitOf(error), `${names.join(', ')}: ${describe(error)}`);
}

async function lookAt(source: Source, { askPhrase }: Context): Promise<void> {
  const { box, link, names } = source;
  try {
    const look = await box.look(link);
    if (!look.answered) throw new Failure(EXIT.notAnswered, 'Nobody has answered this request yet.');
    if (look.hasFiles) throw new Failure(EXIT.failed, 'This secret has files, which no variable can hold.');
    if (look.phrase) source.phrase = await askPhrase(`Phrase of the secret for ${names.join(', ')}`);
  } catch (error) {
    throw named(names, error);
  }
}

/** Linux takes no longer string in an environment. */
const VARIABLE_MAX_BYTES = process.platform === 'linux' ? 128 << 10 : Number.POSITIVE_INFINITY;

async function readAll(sources: readonly Source[], interrupted: () => number | undefined) {
  const secrets: Record<string, string> = {};
  for (const { link, names, box, phrase } of sources) {
    try {
      const { text, files } = await box.open(link, { phrase });
      for (const name of names) secrets[name] = text ?? '';
      if (text === undefined || files.length > 0) throw new Failure(EXIT.failed, 'It is no text.');
      if (text.includes('\0')) throw new Failure(EXIT.failed, 'No variable can hold a NUL.');
      const longest = Math.max(...names.map((name) => Buffer.byteLength(`${name}=${text}`)));
      if (longest >= VARIABLE_MAX_BYTES) throw new Failure(EXIT.failed, 'It is too long for a variable.');
    } catch (error) {
      const isUsedUp = !((names.at(-1) as string) in secrets) && mayBeUsedUp(error) ? names : [];
      sayUsedUp([...Object.keys(secrets), ...isUsedUp]);
      throw named(names, error);
    }
    const exit = interrupted();
    if (exit === undefined) continue;
    sayUsedUp(Object.keys(secrets));
    throw new Failure(exit, 'interrupted; the command does not run');
  }
  return secrets;
}

/** A read that was cut off may have been carried out; one that was refused was not. */
function mayBeUsedUp(error: unknown): boolean {
  return ['CUT_OFF', 'UNTRUSTED'].includes((error as { code?: string }).code ?? '');
}

function sayUsedUp(names: readonly string[]): void {
  if (names.length > 0)
    complain(`hushbox: the command does not run, and these secrets are used up: ${names.join(', ')}`);
}

const PASSED_ON: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'];
/** What a terminal sends to every process in its foreground: the command has it already. */
const OF_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];

/** @returns what the command exits with. It has our streams, and gets our signals. */
async function runCommand(
  path: string,
  [argv0 = '', ...args]: readonly string[],
  env: Environment,
  secrets: Environment,
): Promise<number> {
  const { isTTY } = [process.stdin, process.stdout, process.stderr].find((stream) => stream.isTTY) ?? {};
  const early: NodeJS.Signals[] = [];
  let pass = (signal: NodeJS.Signals) => void early.push(signal);
  for (const signal of PASSED_ON.filter((one) => one in constants.signals)) {
    const isTwice = isTTY && OF_TERMINAL.includes(signal);
    process.on(signal, () => isTwice || pass(signal));
  }
  try {
    const child = spawn(path, args, { argv0, env: { ...env, ...secrets }, stdio: 'inherit' });
    const exit = once(child, 'exit');
    pass = (signal) => void child.kill(signal);
    await Promise.race([once(child, 'spawn'), exit]);
    for (const signal of early) child.kill(signal);
    const [code, signal] = (await exit) as [number | null, NodeJS.Signals];
    return code ?? EXIT.signal + constants.signals[signal];
  } catch (error) {
    sayUsedUp(Object.keys(secrets));
    throw new Failure(EXIT.notExecutable, `the command cannot be started (${systemCode(error)})`);
  }
}

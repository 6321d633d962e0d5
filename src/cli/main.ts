import { type Config, invalid, parseEnvironment } from '../config/config.ts';
import { VERSION } from '../version.ts';
import { type Command, parseArguments, USAGE } from './arguments.ts';
import { describe, EXIT, type Exit, type Terminal } from './terminal.ts';

/** What is still open when a command is done, a connection to a silent server for one, may take as long to close. */
const CLOSE_MS = 2_000;

const terminal: Terminal = {
  env: process.env,
  now: Date.now,
  say: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
};

async function run(args: readonly string[]): Promise<Exit> {
  let command: Command;
  try {
    command = parseArguments(args);
  } catch (error) {
    terminal.complain(`hushbox: ${(error as Error).message}\n\n${USAGE.trimEnd()}`);
    return EXIT.usage;
  }
  try {
    return await runCommand(command);
  } catch (error) {
    terminal.complain(`hushbox: ${describe(error)}`);
    return EXIT.problems;
  }
}

async function runCommand(command: Command): Promise<Exit> {
  if (command.name === 'help') return tell(USAGE.trimEnd());
  if (command.name === 'version') return tell(VERSION);
  if (command.name === 'doctor') return (await import('./doctor/doctor.ts')).runDoctor(terminal, command);
  const { values, problems } = parseEnvironment(terminal.env);
  if (problems.length > 0) throw invalid(problems);
  const config = values as Config;
  if (command.name === 'rotate') return (await import('./operator/rotate.ts')).rotate(terminal, config, command);
  if (command.name === 'key-status') return (await import('./operator/rotate.ts')).tellStatus(terminal, config);
  return (await import('./operator/rotate.ts')).prune(terminal, config);
}

function tell(text: string): Exit {
  terminal.say(text);
  return EXIT.fine;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(EXIT.problems));
process.stdout.on('error', () => process.exit(EXIT.problems)); // who reads it went away
process.exitCode = await run(process.argv.slice(2));
setTimeout(() => process.exit(), CLOSE_MS).unref();

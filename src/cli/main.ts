import '../quiet.ts'; // before everything else
import '../../scripts/preload.cjs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { type Config, invalid, parseEnvironment } from '../config/config.ts';
import { VERSION } from '../version.ts';
import { type Command, HELP, parseArguments, type Topic, USAGE, WrongUse } from './arguments.ts';
import { describe, EXIT, type Exit, type Terminal } from './terminal.ts';

/** How long open resources, such as a connection to a silent server, may take to close after a command. */
const CLOSE_MS = 2_000;

const terminal: Terminal = {
  env: process.env,
  now: Date.now,
  say: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
  ask: (question) => ask(question, process.stderr),
  async askHidden(question) {
    if (!process.stdin.isTTY) return undefined;
    // What is typed is shown by nobody: the terminal leaves that to the reader, whose output leads nowhere. It does so
    // before the question, so that nothing is shown that is typed at once.
    const answered = ask(question, new Writable({ write: (_chunk, _encoding, done) => done() }), true);
    process.stderr.write(question);
    const answer = await answered;
    process.stderr.write('\n');
    return answer;
  },
};

async function ask(question: string, output: NodeJS.WritableStream, isRaw?: true): Promise<string | undefined> {
  if (!process.stdin.isTTY) return undefined;
  const lines = createInterface({ input: process.stdin, output, ...(isRaw && { terminal: true, historySize: 0 }) });
  const ended = once(lines, 'close').then(() => ['']); // Ctrl-D
  lines.on('SIGINT', () => process.exit(EXIT.problems));
  lines.setPrompt(question);
  lines.prompt();
  const [answer] = await Promise.race([once(lines, 'line'), ended]);
  lines.close();
  return answer as string;
}

async function run(args: readonly string[]): Promise<Exit> {
  let command: Command;
  try {
    command = parseArguments(args);
  } catch (error) {
    const topic = error instanceof WrongUse ? error.about : undefined;
    terminal.complain(`hushbox: ${(error as Error).message}\n\n${helpOf(topic)}`);
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
  if (command.name === 'help') return print(helpOf(command.about));
  if (command.name === 'version') return print(VERSION);
  if (command.name === 'doctor') return (await import('./doctor/doctor.ts')).runDoctor(terminal, command);
  const { values, problems } = parseEnvironment(terminal.env);
  if (problems.length > 0) throw invalid(problems);
  const config = values as Config;
  if (command.name === 'account') return (await import('./operator/account.ts')).runAccount(terminal, config, command);
  if (command.name === 'demo-data') return (await import('./operator/demo.ts')).makeDemoData(terminal, config);
  if (command.name === 'rotate-signing-key')
    return (await import('./operator/signing-key.ts')).rotateSigningKey(terminal, config, command);
  if (command.name === 'backup') return (await import('./operator/backup.ts')).backUp(terminal, config, command);
  if (command.name === 'fence-lift') return (await import('./operator/fence.ts')).lift(terminal, config, command);
  if (command.name === 'fence-refuse')
    return (await import('./operator/fence.ts')).refuseAll(terminal, config, command);
  if (command.name === 'rotate') return (await import('./operator/rotate.ts')).rotate(terminal, config, command);
  if (command.name === 'key-status') return (await import('./operator/rotate.ts')).sayStatus(terminal, config);
  return (await import('./operator/rotate.ts')).prune(terminal, config);
}

function helpOf(topic: Topic | undefined): string {
  return (topic === undefined ? USAGE : HELP[topic]).trimEnd();
}

function print(text: string): Exit {
  terminal.say(text);
  return EXIT.fine;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(EXIT.problems));
process.stdout.on('error', () => process.exit(EXIT.problems)); // its reader went away
process.exitCode = await run(process.argv.slice(2));
setTimeout(() => process.exit(), CLOSE_MS).unref();

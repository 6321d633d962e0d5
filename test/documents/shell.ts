import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** A block of commands, and the answer that the document shows after it. */
type Example = { commands: string; answer: string | undefined };

/** The blocks of commands that call the server, each with the block of JSON or text that follows it directly. */
export function examplesOf(document: string): Example[] {
  const blocks = document.matchAll(/^```sh\n(?<commands>.*?)^```\n(?:\n```(?:json|text)\n(?<answer>.*?)^```)?/gms);
  return [...blocks]
    .map(({ groups }) => ({ commands: groups?.commands ?? '', answer: groups?.answer }))
    .filter(({ commands }) => commands.includes('curl'));
}

const NEXT = '--- next ---';

/**
 * Pastes all commands into one shell, in their order.
 * @param base of a server in place of the one that documents name.
 * @returns what each block printed.
 */
export async function paste(examples: readonly Example[], base: string): Promise<string[]> {
  const script = examples.map(({ commands }) => commands).join(`\necho; echo '${NEXT}'\n`);
  const { stdout } = await promisify(execFile)('sh', ['-c', script.replaceAll('http://127.0.0.1:8000', base)], {
    timeout: 60_000,
  });
  return stdout.replaceAll(base, 'http://127.0.0.1:8000').split(NEXT);
}

const INSTANT = /\d{4}-\d\d-\d\dT[\d:.]+Z/g;
const DATE = /\b\d{4}-\d\d-\d\d(?="\})/g;
const UUID = /\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b/g;
/** Keys, tokens and ids, without what some begin with. */
const RANDOM = /(?<=["/]|request_|receipt_|hushbox_)(?!request_|receipt_|hushbox_)[\w-]{20,}/g;
const FIGURES = /(?<="(?:iat|uptime_seconds|requests)":)[\d.]+/g;
const AGENT = /(?<="user_agent":")[^"]*/g;

/** An answer without what differs each time. */
export function formOf(answer: string): string {
  return answer
    .replaceAll(INSTANT, 'INSTANT')
    .replaceAll(DATE, 'DATE')
    .replaceAll(UUID, 'UUID')
    .replaceAll(RANDOM, 'RANDOM')
    .replaceAll(FIGURES, '0')
    .replaceAll(AGENT, '')
    .replaceAll(/\s/g, '');
}

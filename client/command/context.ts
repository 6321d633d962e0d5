import { Hushbox } from '../hushbox.ts';
import type { Progress } from '../wire.ts';
import { parseServer } from './addresses.ts';
import type { Arguments, Options } from './arguments.ts';
import { EXIT, Failure } from './failure.ts';
import { createFetch } from './http.ts';
import { createPhraseFile, readPhrase } from './input.ts';
import { printLine } from './terminal.ts';
import { visibleJson, visibleLine } from './visible.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a command is run with. */
export type Context = Arguments & {
  env: Environment;
  /** For the server of `--server`: it alone gets the token. */
  openServer(onUpload?: Progress): Hushbox;
  /** For the server that a link names. */
  openLinks(base: string, onUpload?: Progress): Hushbox;
  askPhrase(question: string): Promise<string>;
};

export function createContext(args: Arguments, env: Environment): Context {
  const { server, insecure } = args.options;
  const phraseFile = createPhraseFile(env.HUSHBOX_PHRASE_FILE);
  return {
    ...args,
    env,
    openServer(onUpload) {
      const token = env.HUSHBOX_TOKEN || undefined;
      if (token && !/^[!-~]+$/.test(token)) throw new Failure(EXIT.usage, 'HUSHBOX_TOKEN is not a token');
      return new Hushbox(parseServer(server, env.HUSHBOX_URL, insecure), { token, fetch: createFetch(onUpload) });
    },
    openLinks: (base, onUpload) => new Hushbox(base, { fetch: createFetch(onUpload) }),
    askPhrase: (question) => readPhrase(question, phraseFile),
  };
}

/** The result as a line for people, or as JSON. */
export async function printResult({ json }: Options, line: string, members: object): Promise<void> {
  await printLine(json ? visibleJson(members) : visibleLine(line)); // parts of it are what the server said
}

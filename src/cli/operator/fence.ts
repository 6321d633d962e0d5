import type { Config } from '../../config/config.ts';
import { readFenceFile } from '../../fence/file.ts';
import { type FenceControl, type FenceMark, type FenceState, lostMark } from '../../fence/store.ts';
import { openFence } from '../../storage/open.ts';
import { EXIT, type Exit, Failure, instant, isDatabaseThere, type Terminal } from '../terminal.ts';

type Options = { isConfirmed: boolean };
type Found = { fence: FenceControl; state: FenceState; known: readonly FenceMark[] };

/** Accepts again what the fence refuses. */
export async function lift(terminal: Terminal, config: Config, { isConfirmed }: Options): Promise<Exit> {
  return onFence(config, async ({ fence, state, known }) => {
    const refusedUntil = Math.max(state.refusedUntil, lostMark(state, known));
    if (refusedUntil === 0) {
      terminal.say('The fence refuses no secret: there is nothing to lift.');
      return EXIT.fine;
    }
    const readable = await fence.countRefused(refusedUntil, terminal.now());
    terminal.say('The database was restored to an older state. Secrets and requests created until');
    terminal.say(
      `${instant(refusedUntil)} are refused, because they may have been read or answered since: ${readable} in all.`,
    );
    terminal.say(
      'Lifting the fence accepts them again. Then a secret that was read already can be read A SECOND TIME,',
    );
    terminal.say('by anyone with its link, and a request that was answered already can be answered again.');
    if (!isConfirmed && !(await isAgreed(terminal, 'Lift the fence?'))) return EXIT.problems;
    await fence.decide('accept all', terminal.now(), known);
    terminal.say(`The fence is lifted: ${readable} secrets and requests are accepted again. A running service notices`);
    terminal.say('within a second, and writes the audit event fence.lifted.');
    return EXIT.fine;
  });
}

/** Refuses everything that is stored: for a restored copy whose fence file is lost. */
export async function refuseAll(terminal: Terminal, config: Config, { isConfirmed }: Options): Promise<Exit> {
  return onFence(config, async ({ fence, known }) => {
    const readable = await fence.countRefused(Number.MAX_SAFE_INTEGER, terminal.now());
    terminal.say('This refuses every secret and every request that is stored now, whether it was read or answered or');
    terminal.say(`not: ${readable} in all.`);
    terminal.say(
      'It also ends all sessions: everybody has to log in again. Use it for a restored copy whose fence file is',
    );
    terminal.say('lost. New secrets work normally.');
    if (!isConfirmed && !(await isAgreed(terminal, 'Refuse all secrets?'))) return EXIT.problems;
    const { refusedUntil } = await fence.decide('refuse all', terminal.now(), known);
    terminal.say(
      `Secrets and requests created until ${instant(refusedUntil)} are refused: ${readable} in all. A running`,
    );
    terminal.say('service notices within a second. `hushbox fence lift` accepts them again.');
    return EXIT.fine;
  });
}

async function onFence(config: Config, run: (found: Found) => Promise<Exit>): Promise<Exit> {
  if (!isDatabaseThere(config)) throw new Failure(`there is no database at ${config.sqlitePath}`);
  const known = readFenceFile(config.FENCE_FILE) ?? []; // before the database: a running service moves both
  const fence = await openFence(config);
  try {
    const state = await fence.look();
    if (!state) throw new Failure('no service ever used this storage: is STORAGE_URL the right one?');
    return await run({ fence, state, known });
  } finally {
    await fence.close();
  }
}

/** @throws Failure where nobody can be asked. */
async function isAgreed(terminal: Terminal, question: string): Promise<boolean> {
  const answer = await terminal.ask(`${question} Type yes to go on: `);
  if (answer === undefined) throw new Failure('nothing was changed: without a terminal, confirm with --yes');
  if (answer.trim().toLowerCase() === 'yes') return true;
  terminal.complain('Nothing was changed.');
  return false;
}

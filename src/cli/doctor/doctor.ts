import { type Config, parseEnvironment } from '../../config/config.ts';
import { type Finding, note, ok, problem } from '../../findings.ts';
import { inspectStorage } from '../../storage/open.ts';
import { describe, EXIT, type Exit, type Terminal } from '../terminal.ts';
import { inspectFence } from './fence.ts';
import { inspectDisk, inspectFiles, inspectUser } from './files.ts';
import { inspectKeys } from './keys.ts';
import { inspectService } from './service.ts';

const CHECK_PATIENCE_MS = 20_000;
/** Beside the deadlines of the checks themselves: none of them may hold up the others. */
const PATIENCE_MS = 60_000;
const MARK = { ok: 'ok      ', note: 'note    ', warning: 'WARNING ', problem: 'PROBLEM ' } as const;

type Check = { name: string; run(config: Partial<Config>): Promise<Finding[]> | Finding[] };

/** Looks at everything, says what to do about what is wrong, changes nothing. */
export async function runDoctor(terminal: Terminal, { json }: { json: boolean }): Promise<Exit> {
  const { values, problems } = parseEnvironment(terminal.env);
  const areKeysBad = problems.some((text) => text.startsWith('MASTER_KEY')); // it is not that there are none
  const checks: readonly Check[] = [
    { name: 'configuration', run: () => judgeConfiguration(values, problems) },
    { name: 'user', run: inspectUser },
    { name: 'files', run: inspectFiles },
    { name: 'disk', run: inspectDisk },
    {
      name: 'storage',
      run: (config) => onStorage(config, (whole) => inspectStorage(whole, terminal.now, CHECK_PATIENCE_MS)),
    },
    { name: 'keys', run: (config) => onStorage(areKeysBad ? {} : config, (whole) => inspectKeys(terminal, whole)) },
    { name: 'fence', run: (config) => onStorage(config, (whole) => inspectFence(terminal, whole)) },
    { name: 'service', run: inspectService },
  ];
  const found = await Promise.all(
    checks.map(async ({ name, run }) => ({ name, findings: await inTime(async () => run(values)) })),
  );
  const all = found.flatMap(({ name, findings }) => findings.map((finding) => ({ check: name, ...finding })));
  if (json) terminal.say(JSON.stringify({ findings: all }, undefined, 2));
  else for (const line of all.flatMap(linesOf)) terminal.say(line);
  return all.some(({ level }) => level === 'problem') ? EXIT.problems : EXIT.fine;
}

function judgeConfiguration({ NODE_ENV }: Partial<Config>, problems: readonly string[]): Finding[] {
  const advice = 'See docs/configuration.md. The service does not start with it.';
  if (problems.length > 0) return problems.map((text) => problem(`${text}.`, advice));
  const sound = ok('Every variable is sound.');
  if (NODE_ENV === 'production') return [sound];
  return [sound, note('NODE_ENV is not production: what is unsafe there is allowed.')];
}

/** What needs the storage needs to know which. */
function onStorage(
  config: Partial<Config>,
  look: (config: Config) => Promise<Finding[]>,
): Promise<Finding[]> | Finding[] {
  const { STORAGE_URL, DATA_DIR, MASTER_KEY_PREVIOUS } = config;
  const isKnown = STORAGE_URL !== undefined && DATA_DIR !== undefined && MASTER_KEY_PREVIOUS !== undefined;
  return isKnown ? look(config as Config) : [note('Not looked at: the configuration does not say where to look.')];
}

async function inTime(run: () => Promise<Finding[]>): Promise<Finding[]> {
  const { promise: late, resolve } = Promise.withResolvers<Finding[]>();
  const timer = setTimeout(() => {
    resolve([problem(`This took longer than ${PATIENCE_MS / 1000} s.`, 'See what does not answer, and look again.')]);
  }, PATIENCE_MS);
  try {
    return await Promise.race([run(), late]);
  } catch (error) {
    return [
      problem(
        `This cannot be looked at: ${describe(error)}.`,
        'Run this as the user of the service, or put that right, and look again.',
      ),
    ];
  } finally {
    clearTimeout(timer);
  }
}

function linesOf({ check, level, text, advice }: Finding & { check: string }): string[] {
  const line = `${MARK[level]} ${check.padEnd(13)} ${text}`;
  return advice ? [line, `${' '.repeat(23)} → ${advice}`] : [line];
}

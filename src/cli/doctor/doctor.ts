import { type Config, parseEnvironment } from '../../config/config.ts';
import { inspectStorage } from '../../storage/open.ts';
import { describe, EXIT, type Exit, type Terminal } from '../terminal.ts';
import { inspectFence } from './fence.ts';
import { inspectDisk, inspectFiles, inspectUser } from './files.ts';
import { type Finding, note, ok, problem } from './findings.ts';
import { inspectKeys } from './keys.ts';
import { inspectService } from './service.ts';
import { isOutOfReach, judgeStorage } from './storage.ts';

const INSPECTION_MS = 20_000;
/** Every check has deadlines of its own. This one keeps a check that hangs from holding up the others. */
const PATIENCE_MS = 60_000;
const MARK = { ok: 'ok      ', note: 'note    ', warning: 'WARNING ', problem: 'PROBLEM ' } as const;

type Check = { name: string; run(config: Partial<Config>): Promise<Finding[]> | Finding[] };

/** Checks everything and says what to do about each problem. Changes nothing. */
export async function runDoctor(terminal: Terminal, { json }: { json: boolean }): Promise<Exit> {
  const { values, problems } = parseEnvironment(terminal.env);
  const areKeysBad = problems.some((text) => text.startsWith('MASTER_KEY')); // bad keys are not missing keys
  const storage = isKnown(values) ? inspectStorage(values, terminal.now, INSPECTION_MS) : undefined;
  storage?.catch(() => {}); // reported by the check of the storage

  /** Without a storage these checks would only repeat why: it is said once. */
  async function onStorage(config: Partial<Config>, look: (config: Config) => Promise<Finding[]>): Promise<Finding[]> {
    if (!isKnown(config)) return [NOT_CHECKED];
    const isOut = await storage?.then(isOutOfReach, () => true);
    return isOut ? [note('Skipped: no storage.')] : look(config);
  }

  const checks: readonly Check[] = [
    { name: 'configuration', run: () => judgeConfiguration(values, problems) },
    { name: 'user', run: inspectUser },
    { name: 'files', run: inspectFiles },
    { name: 'disk', run: inspectDisk },
    { name: 'storage', run: async () => (storage ? judgeStorage(await storage) : [NOT_CHECKED]) },
    { name: 'keys', run: (config) => onStorage(areKeysBad ? {} : config, (known) => inspectKeys(terminal, known)) },
    { name: 'fence', run: (config) => onStorage(config, (known) => inspectFence(terminal, known)) },
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
  const valid = ok('The configuration is valid.');
  if (NODE_ENV === 'production') return [valid];
  return [valid, note('NODE_ENV is not production: settings that are unsafe there are allowed.')];
}

const NOT_CHECKED = note('Not checked: the configuration does not say where to look.');

/** Whether the configuration says where the storage is. */
function isKnown(config: Partial<Config>): config is Config {
  const { STORAGE_URL, DATA_DIR, MASTER_KEY_PREVIOUS } = config;
  return STORAGE_URL !== undefined && DATA_DIR !== undefined && MASTER_KEY_PREVIOUS !== undefined;
}

async function inTime(run: () => Promise<Finding[]>): Promise<Finding[]> {
  const { promise: late, resolve } = Promise.withResolvers<Finding[]>();
  const timer = setTimeout(() => {
    resolve([
      problem(`This check took longer than ${PATIENCE_MS / 1000} s.`, 'See what does not respond, and run it again.'),
    ]);
  }, PATIENCE_MS);
  try {
    return await Promise.race([run(), late]);
  } catch (error) {
    const advice = 'Run this as the user of the service. If you did, correct the cause and run it again.';
    return [problem(`This cannot be checked: ${describe(error)}.`, advice)];
  } finally {
    clearTimeout(timer);
  }
}

function linesOf({ check, level, text, advice }: Finding & { check: string }): string[] {
  const line = `${MARK[level]} ${check.padEnd(13)} ${text}`;
  return advice ? [line, `${' '.repeat(23)} → ${advice}`] : [line];
}

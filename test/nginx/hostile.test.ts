import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { createSecret, send } from '../support/http/client.ts';
import { type Conversation, converse, type RawAnswer, type RawTarget } from '../support/http/raw.ts';
import { startNginx, withNginx } from '../support/nginx/nginx.ts';
import { type ReadyProgram, start, until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';
import { listCases } from './cases/all.ts';
import type { HostileCase } from './cases/case.ts';

const ALIVE = '{"status":"live"}';
const CANARY = 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n';
const CANARY_SERVED = 'GET /health/live 200';
/** No case asks for this. */
const LAST_SERVED = 'GET /openapi.json 200';
const CREATE_SERVED = 'POST /generate 201';
/** The answer to a call that has passed through here before. */
const LOOP = 508;
/** In every answer, from nginx or the service. */
const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' };
const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

/** A way to a program with one worker, and what it answered before `askAgain` according to its log. */
type Way = { target: RawTarget; base: string; program: ReadyProgram; takeServed(): Promise<string[]> };

type Outcome = {
  /** Method, route and status of each request that a handler took. */
  done: string;
  /** What must not happen. */
  faults: string[];
};

function openWay(target: RawTarget, base: string, program: ReadyProgram): Way {
  let read = 0;
  const unread = (): string[] => program.stderr().split('\n').slice(read, -1).map(servedBy);
  return {
    target,
    base,
    program,
    async takeServed() {
      await until('the last request in the log', () => unread().includes(LAST_SERVED));
      const lines = unread();
      const length = lines.lastIndexOf(LAST_SERVED) + 1; // a request that was broken off can be logged even later
      read += length;
      const served = lines.slice(0, length - 1).filter(Boolean);
      return served.toSpliced(served.lastIndexOf(CREATE_SERVED), 1);
    },
  };
}

/** The answer that a line of the log reports. */
function servedBy(line: string): string {
  if (!line.includes('"msg":"request"')) return '';
  const { method, route, status } = JSON.parse(line);
  return `${method} ${route} ${status}`;
}

/** Sends a case, then questions whose answers are known: on the same connection, if that is open, and on a new one. */
async function play(way: Way, hostile: HostileCase): Promise<Outcome> {
  const faults: string[] = [];
  const conversation = await converse(way.target, { isHead: hostile.isHead ?? false });
  await sendAll(conversation, hostile);
  if (hostile.ending === 'end') await until('the other end', conversation.isClosed);
  await conversation.settle();
  const goesOn = !hostile.isUnfinished && !hostile.ending && !conversation.isClosed();
  if (goesOn) {
    conversation.send(CANARY);
    await until('its answer', () => conversation.isClosed() || conversation.answers().at(-1)?.text === ALIVE);
    await conversation.settle();
  }
  const answers = conversation.answers();
  conversation.reset();
  const isAnswered = goesOn && answers.at(-1)?.text === ALIVE;
  const own = isAnswered ? answers.slice(0, -1) : answers;
  if (own.some(({ text }) => text === ALIVE)) faults.push('an answer for nobody');
  if (own.slice(0, -1).some(({ headers }) => headers.get('connection') === 'close'))
    faults.push('more than the last answer');
  if (!isWhole(conversation.rest())) faults.push('half an answer');
  faults.push(...own.flatMap(faultsOf));
  await askAgain(way.base).catch(() => faults.push('a new connection is not served'));
  const served = await way.takeServed();
  if (isAnswered && !served.includes(CANARY_SERVED)) faults.push("another's answer");
  return { done: served.filter(isDone).sort().join(', ') || 'nothing', faults };
}

const isDone = (line: string): boolean => line !== CANARY_SERVED && !/ none | 4\d\d$/.test(line);

async function sendAll(conversation: Conversation, { pieces, ending }: HostileCase): Promise<void> {
  for (const piece of pieces) {
    if (typeof piece === 'number') await sleep(piece);
    else conversation.send(piece);
  }
  if (ending === 'end') conversation.end();
  if (ending === 'reset') conversation.reset();
}

/** Comes after everything that the case began, because the storage keeps the order of writes. */
async function askAgain(base: string): Promise<void> {
  await createSecret(base, { secret: 's' });
  await send(base, '/openapi.json');
}

/** nginx answers HTTP/0.9 with only a body. */
const isWhole = (rest: string): boolean => rest === '' || /^\{"Error":.*"code":"INVALID_REQUEST".*\}$/.test(rest);

function faultsOf({ status, headers, text }: RawAnswer): string[] {
  const requestId = headers.get('x-request-id') ?? '';
  const faults = Object.entries(HEADERS)
    .filter(([name, value]) => headers.get(name) !== value)
    .map(([name]) => name);
  if (!UUID.test(requestId)) faults.push('x-request-id');
  if (status >= 500 && status !== LOOP) faults.push('status');
  if (status >= 400 && text !== '' && !isOurError(text, requestId)) faults.push('shape');
  return faults.map((fault) => `${status}: ${fault}`);
}

function isOurError(text: string, requestId: string): boolean {
  try {
    const { Error: sentence, code, request_id } = JSON.parse(text);
    return sentence.length > 0 && code.length > 0 && request_id === requestId;
  } catch {
    return false;
  }
}

/** The differences listed in docs/nginx.md: for each name, the way on which the request is done. */
function readDocumented(): Record<string, string> {
  const rows = readFileSync('docs/nginx.md', 'utf8').matchAll(
    /^\| `(?<name>.+)` \| (?<way>direct|through nginx) \|$/gm,
  );
  return Object.fromEntries(Array.from(rows, ({ groups }) => [groups?.name ?? '', groups?.way ?? '']));
}

async function startWays(t: ExecutionContext): Promise<[direct: Way, through: Way]> {
  const [own, behind] = [await temporaryFolder(t), await temporaryFolder(t)];
  const env = (folder: string) => ({ SOCKET_DIR: join(folder, 's'), WORKERS: '1' });
  const programs = await Promise.all([own, behind].map((folder) => start(t, { folder, env: env(folder) })));
  const [direct, hidden] = programs as [ReadyProgram, ReadyProgram];
  const path = join(own, 's', 'worker-1.sock');
  const nginx = await startNginx(t, { sockets: join(behind, 's'), workers: 1 });
  return [openWay({ path }, `unix:${path}`, direct), openWay({ port: nginx.port }, nginx.base, hidden)];
}

withNginx(
  'hostile requests do no harm, direct or through nginx, and are done on both ways or on neither',
  async (t) => {
    const cases = listCases();
    t.true(cases.length >= 500);
    const ways = await startWays(t);
    const workers = ways.map(({ program }) => program.workers());
    const faults: string[] = [];
    const differences: Record<string, string> = {};
    for (const hostile of cases) {
      t.timeout(60_000); // of one case: together they take minutes
      const [direct, through] = (await Promise.all(ways.map((way) => play(way, hostile)))) as [Outcome, Outcome];
      faults.push(...direct.faults.map((fault) => `${hostile.name}, direct: ${fault}`));
      faults.push(...through.faults.map((fault) => `${hostile.name}, through nginx: ${fault}`));
      if (direct.done === through.done) continue;
      differences[hostile.name] = direct.done.length < through.done.length ? 'through nginx' : 'direct';
    }
    t.deepEqual(faults, []);
    t.deepEqual(differences, readDocumented());
    t.deepEqual(
      ways.map(({ program }) => program.workers()),
      workers,
      'a worker died',
    );
  },
);

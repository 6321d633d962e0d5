import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { advanced, type FenceMark, type FenceState, unmarked } from '../../src/fence/store.ts';

/** A database, its copies, the file and a clock, in the order of any operator's mistakes. */
type Op =
  | { is: 'wait'; ms: number }
  | { is: 'set the clock'; ms: number }
  | { is: 'create' | 'read' | 'beat' | 'half a beat' | 'kill' | 'copy' }
  | { is: 'put back'; which: number };
type Secret = { createdAt: number };
type Database = { state: FenceState; waiting: readonly Secret[] };

class Model {
  database: Database = { state: unmarked('a'), waiting: [] };
  copies: Database[] = [];
  file: FenceMark | undefined;
  time = 1_000_000;
  offset = 0;
  /** What the running process knows: the last mark, and when it was. */
  known: FenceMark | undefined;
  knownAt = 0;
  read = new Set<Secret>();

  /** One beat; the process opens the database where it was not running. */
  beat(isWhole: boolean): void {
    this.known ??= this.file;
    const isOpen = this.knownAt > 0;
    const now = Math.max(this.time + this.offset, isOpen ? (this.known?.mark ?? 0) + this.time - this.knownAt : 0);
    const state = advanced(this.database.state, now, this.known ? [this.known] : []);
    this.database = { ...this.database, state };
    this.known = { databaseId: state.databaseId, mark: state.mark };
    this.knownAt = this.time;
    if (isWhole) this.file = this.known;
  }

  kill(): void {
    this.known = undefined;
    this.knownAt = 0;
  }
}

const plainly = <Is extends Op['is']>(is: Is) => fc.record({ is: fc.constant(is) });
const op = fc.oneof(
  { weight: 2, arbitrary: fc.record({ is: fc.constant('wait' as const), ms: fc.nat(1_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      is: fc.constant('set the clock' as const),
      ms: fc.nat(7_200_000).map((ms) => ms - 3_600_000),
    }),
  },
  { weight: 3, arbitrary: plainly('create') },
  { weight: 3, arbitrary: plainly('read') },
  { weight: 3, arbitrary: plainly('beat') },
  { weight: 1, arbitrary: plainly('half a beat') },
  { weight: 1, arbitrary: plainly('kill') },
  { weight: 3, arbitrary: plainly('copy') },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('put back' as const), which: fc.nat(1_000) }) },
) as fc.Arbitrary<Op>;

/** Runs what anybody could do, in thousands of orders, and checks after each step. */
function always(t: ExecutionContext, step: fc.Arbitrary<Op>, check: (model: Model, op: Op) => void): void {
  const steps = fc.array(step, { maxLength: 60, size: 'max' });
  t.notThrows(() =>
    fc.assert(
      fc.property(steps, (ops) => run(ops, check)),
      { numRuns: 4_000 },
    ),
  );
}

function run(ops: readonly Op[], check: (model: Model, op: Op) => void): void {
  const model = new Model();
  model.beat(true);
  for (const op of ops) {
    apply(model, op);
    check(model, op);
  }
}

function apply(model: Model, op: Op): void {
  if (op.is === 'wait') model.time += op.ms;
  else if (op.is === 'beat') model.beat(true);
  else if (op.is === 'half a beat') model.beat(false);
  else if (op.is === 'kill') model.kill();
  else if (op.is === 'copy') model.copies.push(model.database);
  else if (op.is === 'set the clock') {
    // Not more than one step between two beats.
    model.beat(true);
    model.offset += op.ms;
    model.beat(true);
  } else if (op.is === 'create') create(model);
  else if (op.is === 'read') read(model);
  else if (op.is === 'put back') putBack(model, op.which);
}

function create(model: Model): void {
  if (model.knownAt === 0) model.beat(true);
  const { state, waiting } = model.database;
  const createdAt = Math.max(model.time + model.offset, state.refusedUntil + 1);
  model.database = { state, waiting: [...waiting, { createdAt }] };
}

/** Reads what the service would hand out. */
function read(model: Model): void {
  if (model.knownAt === 0) model.beat(true);
  const { state, waiting } = model.database;
  const found = waiting.find(({ createdAt }) => createdAt > state.refusedUntil);
  if (!found) return;
  model.database = { state, waiting: waiting.filter((secret) => secret !== found) };
  if (model.read.has(found)) throw new Error('handed out twice');
  model.read.add(found);
}

/** After a beat at the end, as a program does that is stopped. */
function putBack(model: Model, which: number): void {
  const copy = model.copies[which % Math.max(1, model.copies.length)];
  if (!copy) return;
  model.beat(true);
  model.kill();
  model.database = copy;
}

test('whatever is copied, put back and killed, and whatever the clock does, nothing is handed out twice', (t) => {
  always(t, op, () => {}); // the model itself fails
});

test('as long as nothing is put back, nothing is refused', (t) => {
  const withoutPuttingBack = op.filter(({ is }) => is !== 'put back');
  always(t, withoutPuttingBack, ({ database }) => {
    if (database.state.refusedUntil > 0) throw new Error('refused');
  });
});

test('what was created since can be read', (t) => {
  always(t, op, ({ database: { state, waiting } }, { is }) => {
    const latest = waiting.at(-1);
    if (is === 'create' && latest && latest.createdAt <= state.refusedUntil) throw new Error('created to be refused');
  });
});

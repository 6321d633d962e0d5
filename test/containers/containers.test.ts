import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { blackBoxSuite } from '../secrets/black-box.ts';
import { type Containers, createContainers, hasContainers, withContainers } from '../support/containers/containers.ts';
import { type Load, startLoad } from '../support/containers/observed-load.ts';
import { createApi } from '../support/http/api.ts';
import { createSecret, readSecret, send } from '../support/http/client.ts';
import { expectNoLeaks, remember } from '../support/process/leaks.ts';
import { createLedger } from '../support/process/ledger.ts';
import { until } from '../support/process/program.ts';
import { callsSuite } from './calls.ts';

// The whole set-up of docker-compose.yml, on what CONTAINERS names: `CONTAINERS='docker compose' npx ava test/containers`.

const run = promisify(execFile);
/** 3 in CI; more by hand. */
const REPETITIONS = Number(process.env.CONTAINER_REPETITIONS ?? 3);
const TTL_SLACK_MS = 30_000;
/** In all limits, nginx's too. */
const LEDGER = { isProxied: true, pauseMs: 50 };
const LOAD = { clients: 20, pauseMs: 100, timeoutMs: 20_000 };

const SETTINGS = { LIMITS: 'off', LOG_LEVEL: 'trace' };

let here: Containers;
let upSeconds = 0;

if (hasContainers) {
  test.before('the set-up comes up from nothing', async (t) => {
    t.timeout(600_000);
    here = await createContainers(SETTINGS);
    await here.compose('down', '--volumes', '--remove-orphans');
    await here.compose('build');
    const startedAt = performance.now();
    const printed = await here.make('up');
    upSeconds = (performance.now() - startedAt) / 1000;
    t.true(printed.includes(`Hushbox is ready on ${here.base}\n`), printed);
  });
  test.after.always('and goes', async (t) => {
    t.timeout(120_000);
    await here.compose('down', '--volumes');
  });
}

withContainers('it is ready for every client of the one published port', async (t) => {
  t.log(`make up, with images present: ${upSeconds.toFixed(1)} s`);
  t.is((await send(here.base, '/health/ready')).status, 200);
  t.is((await send(here.base, '/metrics')).status, 404);
  const ports = (await here.compose('ps')).match(/\S*:\d+->\d+/g);
  t.is(new Set(ports).size, 1, String(ports));
});

withContainers('the image adds at most 60 MB to its base', async (t) => {
  const [image, base] = [await sizeOf('hushbox-test'), await sizeOf('node:24-slim')];
  const added = (image - base) / 1e6;
  t.log(`${added.toFixed(1)} MB on top of ${(base / 1e6).toFixed(0)}`);
  t.true(added > 0 && added <= 60);
});

async function sizeOf(image: string): Promise<number> {
  const ask = ['image', 'inspect', '--format', '{{.Size}}', image];
  const { stdout } = await run('podman', ask).catch(() => run('docker', ask));
  return Number(stdout);
}

blackBoxSuite('in containers', withContainers, async (t) => ({
  api: createApi(here.base),
  isAt: (instant, seconds) => {
    t.true(Math.abs(Date.parse(instant) - Date.now() - seconds * 1000) < TTL_SLACK_MS, instant);
  },
}));

/** The children of the program's first process, which is a child of the container's init. */
const LIST_WORKERS = `primary=$(for d in /proc/[0-9]*; do set -- $(cat $d/stat); [ "$4" = 1 ] && echo $1; done)
  for d in /proc/[0-9]*; do set -- $(cat $d/stat 2>/dev/null); [ "$4" = "$primary" ] && echo $1; done; true`;

async function workers(): Promise<string[]> {
  return (await here.inside('web', LIST_WORKERS)).split('\n').filter(Boolean).sort();
}

withContainers(
  'the service has no privileges: not root, no capability, and a file system that it cannot change',
  async (t) => {
    for (const service of ['web', 'nginx']) {
      const script =
        'id -u; grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status; touch /x 2>&1; touch /etc/x 2>&1; true';
      const said = await here.inside(service, script);
      t.notRegex(said, /^0$/m, service);
      t.regex(said, /^CapEff:\s0+$/m, service);
      t.regex(said, /^CapBnd:\s0+$/m, service);
      t.regex(said, /^NoNewPrivs:\s1$/m, service);
      t.is(said.match(/Read-only file system/g)?.length, 2, service);
    }
  },
);

withContainers('the image runs under any user id in the group of root, as OpenShift starts it', async (t) => {
  const script = `id -u; mkdir /data/any-user
    unset SOCKET_DIR MASTER_KEY_FILE STORAGE_URL_FILE JWT_HEX_SECRET_FILE PROXY_TOKEN_FILE
    export MASTER_KEY=${'ab'.repeat(32)} STORAGE_URL=sqlite:/data/any-user/h.db DATA_DIR=/data/any-user WORKERS=1
    node src/main.ts >/data/any-user/log & i=0
    until node scripts/health-check.ts || [ $i -ge 50 ]; do i=$((i + 1)); sleep 0.2; done
    node -e "fetch('http://127.0.0.1:8000/generate', { method: 'POST', body: JSON.stringify({ secret: 'x' }) })
      .then(({ status }) => console.log('created', status))"
    kill -TERM $!; wait $!; echo "ended $?"; rm -r /data/any-user`;
  const said = await here.compose('exec', '-T', '--user', '1000660000:0', 'web', 'sh', '-c', script);
  t.regex(said, /^1000660000$/m);
  t.regex(said, /^created 201$/m);
  t.regex(said, /^ended 0$/m);
});

withContainers('an init is process 1, and nothing to build or test with is there', async (t) => {
  t.is((await here.inside('web', 'cat /proc/1/comm')).trim(), 'tini');
  const there = (await here.inside('web', 'ls . node_modules')).split(/\s+/);
  for (const name of ['koa', 'mongodb', 'src']) t.true(there.includes(name), name);
  for (const name of ['ava', 'typescript', '@biomejs', 'fast-check', 'test', '.git', '.env'])
    t.false(there.includes(name), name);
});

withContainers('web has neither the password of root nor the keys of MongoDB', async (t) => {
  const [root = '', keyfile = ''] = (await here.inside('mongo', 'cd /mongo-keys; cat root-password keyfile')).split(
    '\n',
  );
  t.true(root.length >= 32 && keyfile.length > 1000);
  const seen = await here.inside('web', 'cat /proc/[0-9]*/environ /keys/* 2>/dev/null; ls /mongo-keys 2>&1; true');
  t.true(seen.includes('MASTER_KEY_FILE=/keys/master-key'));
  t.false(seen.includes(root));
  t.false(seen.includes(keyfile.slice(0, 64)));
  t.regex(seen, /Permission denied/);
});

// That the service's user is confined to its database needs a real MongoDB: the stand-in enforces no roles.
withContainers('MongoDB wants a password', async (t) => {
  const script = `import { MongoClient } from 'mongodb';
    const client = new MongoClient('mongodb://mongo:27017/hushbox?directConnection=true');
    try { console.log(await client.db().collection('secrets').findOne()); } catch ({ code }) { console.log('code', code); }
    await client.close();`;
  const said = await here.compose('exec', '-T', 'web', 'node', '--input-type=module', '--eval', script);
  t.regex(said, /^code (?:13|18)$/m);
});

withContainers("MongoDB cannot be reached from nginx's network", async (t) => {
  const address = (await here.inside('mongo', 'hostname -i')).trim().split(' ')[0];
  const reach = (host: string, port: number): string =>
    `timeout 3 bash -c 'exec 3<>/dev/tcp/${host}/${port}' 2>/dev/null && echo reached || echo unreachable`;
  t.regex(await here.inside('nginx', reach('127.0.0.1', 8080)), /^reached$/m);
  for (const host of [address, 'mongo'])
    t.regex(await here.inside('nginx', reach(String(host), 27017)), /^unreachable$/m);
  t.regex(await here.inside('web', reach(String(address), 27017)), /^reached$/m);
});

function underLoad(): Load {
  return startLoad(here.base, LOAD);
}

withContainers('SIGHUP replaces every worker and fails no request', async (t) => {
  t.timeout(REPETITIONS * 120_000);
  const load = underLoad();
  for (let n = 0; n < REPETITIONS; n++) {
    const before = await workers();
    t.is(before.length, 4);
    await here.compose('kill', '-s', 'HUP', 'web');
    await until('new workers', async () => {
      const now = await workers();
      return now.length === 4 && !now.some((pid) => before.includes(pid));
    });
  }
  await load.stop();
  t.log({ rolls: REPETITIONS, pairs: load.pairs, slowestMs: Math.round(load.slowestMs) });
  t.deepEqual([load.failures, load.refusals], [[], []]);
  t.true(load.pairs > 100 * REPETITIONS);
});

withContainers('while web restarts every client is asked to wait, with our own error, and loses nothing', async (t) => {
  t.timeout(REPETITIONS * 120_000);
  const load = underLoad();
  const ledger = createLedger(here.base, LEDGER);
  const stopping = new AbortController();
  const books = ledger.run(2, stopping.signal);
  for (let n = 0; n < REPETITIONS; n++) {
    await here.compose('restart', 'web');
    await untilReady();
  }
  stopping.abort();
  await Promise.all([load.stop(), books]);
  await ledger.audit();
  const { pairs, refusals, slowestMs, longestGapMs } = load;
  t.log({
    restarts: REPETITIONS,
    pairs,
    refusals: refusals.length,
    slowestMs: Math.round(slowestMs),
    longestGapMs: Math.round(longestGapMs),
  });
  t.deepEqual(load.failures, []);
  saysToWait(t, load);
  t.deepEqual(ledger.violations, []);
  t.true((ledger.counts.audited ?? 0) > 10);
});

withContainers('a killed worker fails only the requests that it was handling', async (t) => {
  t.timeout(REPETITIONS * 120_000);
  const load = underLoad();
  const ledger = createLedger(here.base, LEDGER);
  const stopping = new AbortController();
  const books = ledger.run(2, stopping.signal);
  for (let n = 0; n < REPETITIONS; n++) {
    const before = await workers();
    await here.inside('web', `kill -9 ${before[n % 4]}`);
    await until('another worker', async () => {
      const now = await workers();
      return now.length === 4 && !now.includes(before[n % 4] as string);
    });
  }
  stopping.abort();
  await Promise.all([load.stop(), books]);
  await ledger.audit();
  t.log({
    kills: REPETITIONS,
    pairs: load.pairs,
    refusals: load.refusals.length,
    slowestMs: Math.round(load.slowestMs),
  });
  t.deepEqual(load.failures, []);
  saysToWait(t, load);
  t.true(load.refusals.length <= REPETITIONS * LOAD.clients);
  t.deepEqual(ledger.violations, []);
});

function saysToWait(t: ExecutionContext, { refusals }: Load): void {
  for (const refusal of refusals) {
    t.true(refusal.status === 502 || refusal.status === 503, JSON.stringify(refusal));
    t.true(refusal.isOurs && refusal.retryAfterSeconds >= 1 && refusal.retryAfterSeconds <= 5, JSON.stringify(refusal));
  }
}

async function untilReady(): Promise<void> {
  await until('the service', async () => (await send(here.base, '/health/ready')).status === 200);
}

let logged = '';

/** Of containers that are about to go. */
async function keepLogs(): Promise<void> {
  logged += await here.compose('logs', '--no-color');
}

withContainers('make down ends it cleanly; make up finds secrets and keys again', async (t) => {
  t.timeout(300_000);
  const key = await createSecret(here.base, { secret: 'kept over the night' });
  const show = 'cat /keys/*';
  const keys = await here.inside('web', show);
  await here.compose('stop', 'web');
  t.regex(await here.compose('ps', '-a'), /web.*exit(?:ed \()?\s*0/i);
  await keepLogs();
  await here.make('down');
  await t.throwsAsync(send(here.base, '/health/live'));
  await here.make('up');
  t.is(await here.inside('web', show), keys);
  t.deepEqual((await readSecret(here.base, key)).body, { secret: 'kept over the night' });
});

withContainers(
  'a master key that is given goes first, and what was sealed with the made one can be read',
  async (t) => {
    t.timeout(300_000);
    const key = await createSecret(here.base, { secret: 'from before' });
    const MASTER_KEY = randomBytes(32).toString('hex');
    remember(MASTER_KEY);
    await keepLogs();
    await here.make('up', { MASTER_KEY });
    const keys = (await here.inside('web', 'cat /keys/master-key')).trim().split('\n');
    t.is(keys.length, 2);
    t.is(keys[0], MASTER_KEY);
    t.deepEqual((await readSecret(here.base, key)).body, { secret: 'from before' });
  },
);

withContainers("the operator's commands work inside; a changed master key leaves older secrets readable", async (t) => {
  const said = await here.compose('exec', '-T', 'web', 'hushbox', 'doctor');
  t.notRegex(said, /^PROBLEM/m);
  t.regex(said, /^ok +service/m);
  const key = await createSecret(here.base, { secret: 'sealed with the older one' });
  const show = 'cat /keys/master-key';
  const before = await here.inside('web', show);
  await keepLogs();
  logged += await here.compose('run', '--rm', 'setup', 'hushbox', 'rotate-master-key');
  const after = await here.inside('web', show);
  t.true(after.endsWith(before) && after.length > before.length);
  t.is((await here.inside('web', 'stat -c %u:%a /keys/master-key')).trim(), '1000:600');
  await here.compose('kill', '-s', 'HUP', 'web');
  const newer = await createSecret(here.base, { secret: 'sealed with either' });
  t.is((await readSecret(here.base, key)).status, 200);
  t.is((await readSecret(here.base, newer)).status, 200);
});

callsSuite(
  withContainers,
  () => here,
  async (settings) => {
    await keepLogs();
    await here.make('up', settings);
  },
);

withContainers('no secret, phrase, key or password is in a log of any service', async (t) => {
  await sleep(1_500); // nginx writes its log once a second
  await keepLogs();
  t.regex(logged, /web.*"\/secrets\/:key"/);
  t.regex(logged, /nginx.*"route":"\/secrets\/:key"/);
  const files = await here.inside('mongo', 'cat /mongo-keys/*');
  const keys = await here.inside('web', 'cat /keys/*');
  for (const line of `${files}\n${keys}`.split('\n')) remember(line.replace(/^mongodb:\/\/[^:]*:|@.*$/g, ''));
  t.notThrows(() => expectNoLeaks(logged));
});

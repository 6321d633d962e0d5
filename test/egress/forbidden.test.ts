import { writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createOwnAddresses } from '../../src/egress/addresses.ts';
import { parseDestination } from '../../src/egress/destination.ts';
import { createVet } from '../../src/egress/vet.ts';
import { type Address, parseAddress } from '../../src/network/addresses.ts';
import { parseAllowList } from '../../src/network/allow-list.ts';
import {
  callFromChild,
  isLoopback,
  listenOn,
  type Options,
  PROXY,
  startEgress,
  startWeb,
  type Upstream,
  WEBHOOKS,
} from '../support/egress/calls-out.ts';
import { startDns, type Zone } from '../support/egress/dns.ts';
import { temporaryFolder } from '../support/storage/storage.ts';
import { HOSTILE, LOCALHOST, NO_URLS } from './hostile.ts';

const PUBLIC = '93.184.215.14';
const PUBLIC_6 = '2606:2800:21f:cb07:6820:80da:af6b:8b2c';
const OK = { status: 200, text: 'inside' };

const startInside = (t: ExecutionContext): Promise<Upstream> =>
  startWeb(t, (_request, response) => response.end('inside'));

test('an address that is not public is reached by none of its spellings, and by each of them once it is listed', async (t) => {
  t.true(HOSTILE.length >= 80);
  const inside = await startInside(t);
  for (const [host] of HOSTILE) {
    const url = `http://${host}:${inside.port}/`;
    const guarded = startEgress(t);
    t.is(await guarded.post(url), 'DESTINATION_FORBIDDEN', host);
    await t.throwsAsync(guarded.egress.check(url, PROXY), { code: 'DESTINATION_FORBIDDEN' } as object, host);
    t.deepEqual([guarded.dialled, guarded.counted], [[], ['proxy forbidden']], host);
    t.is(inside.connections, 0, host);
  }
  const tries = HOSTILE.map(([host, address]) => expectReached(t, `http://${host}:${inside.port}/`, address, {}));
  const reached = (await Promise.all(tries)).filter(Boolean).length;
  t.true(reached > 25);
  t.is(inside.connections, reached);
});

/** That the address is dialled once it is listed. @returns whether a test may connect to it, so that it was reached. */
async function expectReached(t: ExecutionContext, url: string, address: string, options: Options): Promise<boolean> {
  const listed = startEgress(t, { ...options, allow: `${address}/${address.includes(':') ? 128 : 32}` });
  t.deepEqual(await listed.post(url), isLoopback(address) ? OK : 'UPSTREAM_FAILED', url);
  t.deepEqual(listed.dialled, [address], url);
  return isLoopback(address);
}

test('no name leads to an address that is not public, and each does once the address is listed', async (t) => {
  const inside = await startInside(t);
  const addresses = [...new Set(HOSTILE.map(([, address]) => address))];
  const zone: Zone = (name) => {
    const address = addresses[Number(/^n(\d+)\.example$/.exec(name)?.[1])];
    return address === undefined ? undefined : [address];
  };
  const { address: server } = await startDns(t, zone);
  for (const [index, address] of addresses.entries()) {
    const url = `http://n${index}.example:${inside.port}/`;
    const guarded = startEgress(t, { servers: [server] });
    t.is(await guarded.post(url), 'DESTINATION_FORBIDDEN', address);
    t.deepEqual(guarded.dialled, [], address);
    t.is(inside.connections, 0, address);
  }
  const options = { servers: [server] };
  await Promise.all(
    addresses.map((address, index) => expectReached(t, `http://n${index}.example:${inside.port}/`, address, options)),
  );
});

test('localhost is loopback, whatever a name server says, and nobody is asked for it', async (t) => {
  const inside = await startInside(t);
  const { address: server, asked } = await startDns(t, () => [PUBLIC]);
  for (const host of LOCALHOST) {
    const guarded = startEgress(t, { servers: [server] });
    t.is(await guarded.post(`http://${host}:${inside.port}/`), 'DESTINATION_FORBIDDEN', host);
    t.deepEqual(guarded.dialled, []);
  }
  t.is(inside.connections, 0);
  const listed = startEgress(t, { allow: `127.0.0.1:${inside.port}`, servers: [server] });
  for (const host of LOCALHOST) t.deepEqual(await listed.post(`http://${host}:${inside.port}/`), OK, host);
  t.true(listed.dialled.every((address) => address === '127.0.0.1'));
  t.deepEqual(asked, []);
});

test('what is no http or https URL, or has credentials, is not valid; the answer does not repeat it', async (t) => {
  const guarded = startEgress(t, { allow: '0.0.0.0/0,::/0' });
  const longest = `http://a.example/${'a'.repeat(8_192 - 17)}`;
  await guarded.egress.check(longest, PROXY);
  for (const url of [...NO_URLS, `${longest}a`]) {
    const error = await t.throwsAsync(guarded.egress.check(url, PROXY), { code: 'INVALID_REQUEST' } as object, url);
    t.regex(
      error?.message ?? '',
      /^Destination must be (?:an http or https URL without credentials|at most 8192 characters long)$/,
    );
    t.is(await guarded.post(url), 'INVALID_REQUEST', url);
  }
  t.deepEqual([guarded.dialled, guarded.counted], [[], []]);
});

test('other spellings of the URL change nothing of where it leads', async (t) => {
  const inside = await startInside(t);
  const { port } = inside;
  const urls = [
    `http:127.0.0.1:${port}/`,
    `http:\\\\127.0.0.1:${port}\\`,
    `http:///127.0.0.1:${port}/`,
    `HTTP://127.1:${port}`,
    `http://127.0.0.1:${port}\\@a.example/`,
    `http://127.0.0.1:${port}#@a.example/`,
    `http://127.0.0.1:${port}?@a.example`,
  ];
  for (const url of urls) {
    t.is(await startEgress(t).post(url), 'DESTINATION_FORBIDDEN', url);
    t.deepEqual(await startEgress(t, { allow: '127.0.0.1' }).post(url), OK, url);
  }
  t.is(inside.connections, urls.length); // those of the listed ones alone
});

const NAMES: Readonly<Record<string, readonly string[]>> = {
  'cname.example': ['CNAME localhost'],
  'chain.example': ['CNAME next.example'],
  'next.example': ['CNAME last.example'],
  'last.example': ['127.0.0.1'],
  localhost: ['127.0.0.1'],
  'six.example': ['::1'],
  'mixed.example': [PUBLIC, '127.0.0.1'],
  'mixed-late.example': [PUBLIC, PUBLIC_6, '93.184.215.15', 'fe80::1'],
  'mixed-family.example': [PUBLIC, '::1'],
  'mapped.example': ['::ffff:127.0.0.1'],
  'public.example': [PUBLIC, PUBLIC_6],
};

test('one address of a name that is not public, and none of them is dialled', async (t) => {
  const inside = await startInside(t);
  const { address: server } = await startDns(t, (name) => NAMES[name]);
  const guarded = startEgress(t, { servers: [server] });
  for (const name of Object.keys(NAMES).filter((one) => one !== 'public.example')) {
    t.is(await guarded.post(`http://${name}:${inside.port}/`), 'DESTINATION_FORBIDDEN', name);
    await t.throwsAsync(guarded.egress.check(`http://${name}:${inside.port}/`, PROXY), undefined, name);
  }
  t.deepEqual([guarded.dialled, inside.connections], [[], 0]);
  await guarded.egress.check(`http://public.example:${inside.port}/`, PROXY);
  t.is(await guarded.post(`http://public.example:${inside.port}/`), 'UPSTREAM_FAILED'); // it is nobody's in a test
  t.deepEqual(guarded.dialled, [PUBLIC, PUBLIC_6]);
});

test('of a name with listed addresses and others that are not public, the listed ones alone are dialled', async (t) => {
  const inside = await startInside(t);
  const { address: server } = await startDns(t, (name) => NAMES[name]);
  const listed = startEgress(t, { servers: [server], allow: '127.0.0.1' });
  t.is(await listed.post(`http://mixed.example:${inside.port}/`), 'UPSTREAM_FAILED');
  t.deepEqual(listed.dialled, [PUBLIC, '127.0.0.1']); // either is fine
  const other = startEgress(t, { servers: [server], allow: PUBLIC });
  await other.post(`http://mixed-family.example:${inside.port}/`);
  t.deepEqual(other.dialled, [PUBLIC]);
});

test('a name that is listed may lead anywhere; with a port, to that port alone', async (t) => {
  const [inside, other] = [await startInside(t), await startInside(t)];
  const { address: server } = await startDns(t, (name) => NAMES[name]);
  const listed = startEgress(t, { servers: [server], allow: `last.example:${inside.port}` });
  for (const name of ['last.example', 'LAST.example', 'last.example.', 'l%61st.example']) {
    t.deepEqual(await listed.post(`http://${name}:${inside.port}/`, { rules: WEBHOOKS }), OK, name);
    t.is(await listed.post(`http://${name}:${other.port}/`), 'DESTINATION_FORBIDDEN', name);
  }
  t.is(await listed.post(`http://127.0.0.1:${inside.port}/`), 'DESTINATION_FORBIDDEN'); // it is the name that is listed
  t.is(await listed.post(`http://a.last.example:${inside.port}/`), 'UPSTREAM_FAILED');
  t.is(other.connections, 0);
});

test("the system's own file of hosts is looked into first, and vetted as anything else", async (t) => {
  const inside = await startInside(t);
  const hostsPath = join(await temporaryFolder(t), 'hosts');
  writeFileSync(
    hostsPath,
    `# names\n127.0.0.1 Inside.example other # 1\n${PUBLIC}\tfar.example\nfe80::1%lo zone.example\nnonsense x\n`,
  );
  const { address: server } = await startDns(t, () => [PUBLIC]);
  const guarded = startEgress(t, { servers: [server], hostsPath });
  for (const name of ['inside.example', 'other']) {
    t.is(await guarded.post(`http://${name}:${inside.port}/`), 'DESTINATION_FORBIDDEN', name);
  }
  t.deepEqual(guarded.dialled, []);
  const listed = startEgress(t, { servers: [server], hostsPath, allow: '127.0.0.1' });
  t.deepEqual(await listed.post(`http://other:${inside.port}/`), OK);
});

test('a name that changes is vetted again at every attempt; what is dialled is what was vetted', async (t) => {
  const inside = await startInside(t);
  const { address: server } = await startDns(t, (name, asked) => {
    if (name === 'later.example') return asked === 0 ? [PUBLIC] : ['127.0.0.1'];
    return asked % 2 === 0 ? [PUBLIC] : ['127.0.0.1'];
  });
  const guarded = startEgress(t, { servers: [server], verdictMs: 0 });
  const later = `http://later.example:${inside.port}/`;
  await guarded.egress.check(later, PROXY);
  for (let attempt = 0; attempt < 3; attempt++) t.is(await guarded.post(later), 'DESTINATION_FORBIDDEN');
  t.deepEqual(guarded.dialled, []);
  const answers = new Set<unknown>();
  for (let attempt = 0; attempt < 6; attempt++)
    answers.add(await guarded.post(`http://turning.example:${inside.port}/`));
  t.deepEqual([...answers].sort(), ['DESTINATION_FORBIDDEN', 'UPSTREAM_FAILED']);
  t.deepEqual([...new Set(guarded.dialled)], [PUBLIC]);
  t.is(inside.connections, 0);
});

test('a connection that was kept is used only for an address that may be dialled now', async (t) => {
  const inside = await startInside(t);
  let addresses = ['127.0.0.1'];
  const { address: server } = await startDns(t, () => addresses);
  const guarded = startEgress(t, { servers: [server], verdictMs: 0, allow: '127.0.0.1' });
  const url = `http://moving.example:${inside.port}/`;
  for (let attempt = 0; attempt < 3; attempt++) t.deepEqual(await guarded.post(url), OK);
  t.is(inside.connections, 1);
  addresses = ['127.0.0.2'];
  t.is(await guarded.post(url), 'DESTINATION_FORBIDDEN');
  addresses = [PUBLIC];
  t.is(await guarded.post(url), 'UPSTREAM_FAILED');
  t.deepEqual([guarded.dialled, inside.connections], [['127.0.0.1', PUBLIC], 1]);
});

const FREE_PORTS = [80, 443, 1024, 6379, 8080, 8443, 65_535];
const SHUT_PORTS = [1, 22, 23, 25, 53, 110, 143, 445, 465, 587, 993, 1023, 2049, 5060, 6000, 6667, 10_080];

test('ports below 1024 but 80 and 443, and those of other protocols, are for listed destinations', async (t) => {
  const guarded = startEgress(t);
  for (const port of FREE_PORTS) await t.notThrowsAsync(guarded.egress.check(`http://${PUBLIC}:${port}/`, PROXY));
  for (const port of SHUT_PORTS) {
    const url = `http://${PUBLIC}:${port}/`;
    await t.throwsAsync(guarded.egress.check(url, PROXY), { code: 'DESTINATION_FORBIDDEN' } as object, url);
    await t.notThrowsAsync(startEgress(t, { allow: `${PUBLIC}/24` }).egress.check(url, PROXY), url);
  }
});

test('webhooks take plain http only where it is listed', async (t) => {
  const { address: server } = await startDns(t, (name) => NAMES[name]);
  const guarded = startEgress(t, { servers: [server] });
  await guarded.egress.check('https://public.example/', WEBHOOKS);
  await guarded.egress.check('https://no-such-name.example/', WEBHOOKS);
  for (const url of ['http://public.example/', `http://${PUBLIC}/`, 'http://no-such-name.example/']) {
    await t.throwsAsync(guarded.egress.check(url, WEBHOOKS), { code: 'DESTINATION_FORBIDDEN' } as object, url);
    await guarded.egress.check(url, PROXY);
  }
  await startEgress(t, { servers: [server], allow: PUBLIC }).egress.check(`http://${PUBLIC}/`, WEBHOOKS);
  await startEgress(t, { servers: [server], allow: 'public.example' }).egress.check('http://public.example/', WEBHOOKS);
});

test('the addresses of this machine are not for others, be they public', (t) => {
  const isOwn = createOwnAddresses();
  const addresses = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
  t.true(addresses.length > 0);
  for (const address of addresses) t.true(isOwn(parseAddress(address) as Address), address);
  const far = parseAddress(PUBLIC) as Address;
  t.false(isOwn(far));
  const destination = parseDestination(`https://${PUBLIC}/`, PROXY);
  t.deepEqual(createVet([])(destination, PROXY, [far]), [far]);
  t.throws(() => createVet([], () => true)(destination, PROXY, [far]), { code: 'DESTINATION_FORBIDDEN' } as object);
  t.deepEqual(createVet(parseAllowList(PUBLIC) ?? [], () => true)(destination, PROXY, [far]), [far]);
});

test('a redirect is an answer: nobody follows it', async (t) => {
  const inside = await startInside(t);
  for (const status of [301, 302, 303, 307, 308]) {
    const outside = await startWeb(t, (_request, response) => {
      response.writeHead(status, { location: `http://127.0.0.1:${inside.port}/` }).end('elsewhere');
    });
    const { post } = startEgress(t, { allow: `127.0.0.1:${outside.port}` });
    t.deepEqual(await post(`http://127.0.0.1:${outside.port}/`), { status, text: 'elsewhere' });
  }
  t.is(inside.connections, 0);
});

test('a socket that is connected to another address than the vetted one is given not a byte', async (t) => {
  let bytes = 0;
  const { createServer, connect } = await import('node:net');
  const inside = await listenOn(
    t,
    createServer(
      (socket) =>
        void socket.on('data', (data) => {
          bytes += data.length;
        }),
    ),
  );
  const lie = (options: object) => connect({ ...options, host: '127.0.0.1', port: inside.port });
  for (const url of [`http://${PUBLIC}:${inside.port}/`, `https://${PUBLIC}:${inside.port}/`]) {
    const guarded = startEgress(t, { connect: lie as never });
    t.is(await guarded.post(url), 'UPSTREAM_FAILED', url);
  }
  t.is(inside.connections, 2);
  t.is(bytes, 0);
});

test('variables that name a proxy change nothing', async (t) => {
  const [proxy, inside] = [await startInside(t), await startInside(t)];
  const address = `http://127.0.0.1:${proxy.port}`;
  const env = {
    ...{ HTTP_PROXY: address, HTTPS_PROXY: address, ALL_PROXY: address, http_proxy: address, https_proxy: address },
    ...{ NO_PROXY: '', NODE_USE_ENV_PROXY: '1' },
  };
  t.deepEqual(await callFromChild(env, [`http://127.0.0.1:${inside.port}/`]), ['inside']);
  t.is(proxy.connections, 0);
});

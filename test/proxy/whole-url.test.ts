import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext, type TestFn } from 'ava';
import type { TestServer } from '../support/http/server.ts';
import { testWith } from '../support/process/tools.ts';
import { temporaryFolder } from '../support/storage/storage.ts';
import { call, codeOf, httpUpstream, OWN_NAME, startProxy } from './support.ts';

// The service as a proxy of RFC 9110: the target of a request is another server's whole URL.

const TOKEN = 'a-token-of-the-proxy';
const basic = (text: string): { 'proxy-authorization': string } => ({
  'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}`,
});

/** Answers with what it got. */
async function startEcho(t: ExecutionContext): Promise<string> {
  const { url } = await httpUpstream(t, async (request, response) => {
    const { 'x-my-jwt': token, 'proxy-authorization': secret, via, host } = request.headers;
    const body = (await request.toArray()).join('');
    response.end(`${request.method} ${request.url} ${host} ${via} ${Boolean(token)} ${secret} ${body}`);
  });
  return url;
}

const echoOf = (url: string, target: string, body: string): string =>
  `POST ${target} ${new URL(url).host} 1.1 ${OWN_NAME} true undefined ${body}`;

test('a POST to the URL of another server goes there, as with a Destination', async (t) => {
  const server = await startProxy(t);
  const url = await startEcho(t);
  const answer = await call(server, {
    path: `${url}a%20b?c=d`,
    body: 'x',
    headers: { destination: 'http://10.0.0.1/' },
  });
  t.is(answer.status, 200);
  t.is(answer.body.toString(), echoOf(url, '/a%20b?c=d', 'x'));
  t.is(answer.headers['content-security-policy'], 'sandbox');
});

test('the URL of this server is an ordinary request, by the address of the connection or the public one', async (t) => {
  const server = await startProxy(t, { env: { PUBLIC_URL: 'https://secrets.example/base' } });
  for (const origin of [
    `http://127.0.0.1:${server.port}`,
    `http://127.1:${server.port}`,
    `http://LOCALHOST:${server.port}`,
    `https://127.0.0.1:${server.port}`,
    'https://secrets.example',
    'http://Secrets.Example.:443',
  ]) {
    const created = await call(server, { path: `${origin}/generate`, body: '{"secret":"s"}' });
    t.is(created.status, 201, origin);
    t.is((await call(server, { method: 'GET', path: `${origin}/health/live` })).status, 200, origin);
  }
});

test('another port or host is another server', async (t) => {
  const server = await startProxy(t, { env: { PUBLIC_URL: 'https://secrets.example', EGRESS_ALLOW: '' } });
  for (const url of [
    `http://127.0.0.1:${server.port + 1}/generate`,
    'http://127.0.0.1/generate',
    `http://[::1]:${server.port}/generate`,
    'http://10.0.0.1/generate',
  ]) {
    t.is(codeOf(await call(server, { path: url, body: '{"secret":"s"}' })), 'DESTINATION_FORBIDDEN', url);
  }
  const answer = await call(server, { path: 'http://secrets.example/generate', body: '{"secret":"s"}' });
  t.not(answer.status, 201);
});

test('what is refused: another method, no token, a loop, where no proxy is served', async (t) => {
  const url = await startEcho(t);
  const server = await startProxy(t, { env: { PROXY_TOKEN: TOKEN } });
  for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH']) {
    const { status, headers } = await call(server, { method, path: url, headers: basic(`user:${TOKEN}`) });
    t.deepEqual([status, headers.allow], [405, 'POST'], method);
  }
  for (const headers of [
    {},
    basic(''),
    basic(TOKEN),
    basic(`user:${TOKEN}x`),
    basic(`${TOKEN}:`),
    { 'proxy-authorization': `Bearer ${TOKEN}x` },
    { authorization: `Bearer ${TOKEN}` },
    { 'proxy-authorization': 'Basic' },
  ]) {
    const answer = await call(server, { path: url, headers: headers as Record<string, string> });
    t.is(codeOf(answer), 'PROXY_AUTHENTICATION_REQUIRED', JSON.stringify(headers));
    t.is(answer.headers['proxy-authenticate'], 'Basic realm="Hushbox", Bearer');
  }
  for (const headers of [basic(`:${TOKEN}`), basic(`any one:${TOKEN}`), { 'proxy-authorization': `bearer ${TOKEN}` }]) {
    t.is((await call(server, { path: url, headers })).status, 200);
  }
  const loop = await call(server, { path: url, headers: { ...basic(`:${TOKEN}`), via: `1.1 ${OWN_NAME}` } });
  t.is(codeOf(loop), 'LOOP_DETECTED');
  const without = await startProxy(t, { env: { NODE_ENV: 'production' } });
  for (const method of ['POST', 'GET', 'OPTIONS']) {
    const answer = await call(without, { method, path: url });
    t.deepEqual([answer.status, codeOf(answer)], [421, 'MISDIRECTED'], method);
  }
});

test('the cookies of such a request are those of the other server', async (t) => {
  const url = await startEcho(t);
  const server = await startProxy(t);
  for (const cookie of ['access_token=x', '__Host-access_token=x', 'a=b; access_token=x; csrftoken=y']) {
    t.is((await call(server, { path: url, headers: { cookie } })).status, 200, cookie);
  }
});

test('a secret is not read at another address by its whole URL', async (t) => {
  const server = await startProxy(t, { env: { EGRESS_ALLOW: '' } });
  const { secret_key: key } = await server.create({ secret: 's' });
  t.is((await call(server, { path: `http://10.0.0.1/secrets/${key}`, body: '{}' })).status, 403);
  t.is((await server.get(`/secrets/${key}`)).status, 200);
});

/** Runs a client to its end. @returns what it printed. */
async function run(
  command: readonly [string, ...string[]],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const [file, ...args] = command;
  const { http_proxy: _proxy, no_proxy: _none, ...own } = process.env;
  const child: ChildProcess = spawn(file, args, { env: { ...own, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      text += chunk;
    });
  }
  await once(child, 'close');
  return text.trim();
}

type Start = { server: TestServer; url: string; proxyUrl: string };
async function start(t: ExecutionContext): Promise<Start> {
  const server = await startProxy(t, { env: { PROXY_TOKEN: TOKEN } });
  return { server, url: await startEcho(t), proxyUrl: `http://user:${TOKEN}@127.0.0.1:${server.port}` };
}

testWith('curl')('curl -x', async (t) => {
  const { url, proxyUrl } = await start(t);
  const common = ['-s', '--noproxy', '', '-x', proxyUrl, '-d', 'x=1'];
  t.is(await run(['curl', ...common, `${url}path`]), echoOf(url, '/path', 'x=1'));
  const bare = await run(['curl', '-s', '--noproxy', '', '-x', proxyUrl.replace(/user:.*@/, ''), '-d', 'x', url]);
  t.regex(bare, /PROXY_AUTHENTICATION_REQUIRED/);
  const challenged = ['--proxy-anyauth', '-v'];
  t.true((await run(['curl', ...challenged, ...common, url])).includes(echoOf(url, '/', 'x=1')));
});

const PYTHON = `
import sys, urllib.request
proxy, url = sys.argv[1:]
try:
    import requests
    print(requests.post(url, data='x=1', proxies={'http': proxy}).text)
except ImportError:
    pass
opener = urllib.request.build_opener(urllib.request.ProxyHandler({'http': proxy}))
print(opener.open(url, data=b'x=1').read().decode())
`;

testWith('python3')('Python: requests with proxies, where it is installed, and urllib', async (t) => {
  const { url, proxyUrl } = await start(t);
  const lines = (await run(['python3', '-c', PYTHON, proxyUrl, `${url}path`], { no_proxy: 'nothing' })).split('\n');
  for (const line of lines) t.is(line, echoOf(url, '/path', 'x=1'));
  t.true(lines.length >= 1);
});

const GO = `
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

func main() {
	proxy, _ := url.Parse(os.Args[1])
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}
	answer, err := client.Post(os.Args[2], "text/plain", strings.NewReader("x=1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := io.ReadAll(answer.Body)
	fmt.Println(string(text))
}
`;

const hasGo = spawnSync('go', ['version']).status === 0; // it fails with --help

(hasGo ? test : (test.skip as TestFn))('Go: http.ProxyURL', async (t) => {
  t.timeout(170_000); // it is compiled first
  const { url, proxyUrl } = await start(t);
  const file = join(await temporaryFolder(t), 'client.go');
  writeFileSync(file, GO);
  t.is(await run(['go', 'run', file, proxyUrl, `${url}path`]), echoOf(url, '/path', 'x=1'));
});

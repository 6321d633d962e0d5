import { execFile, execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { parseEnvironment } from '../../src/config/config.ts';
import { testIf } from '../support/process/needs.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const run = promisify(execFile);
const ROOT = 'deploy/kubernetes';
const OVERLAYS = ['example', 'openshift', 'sqlite'] as const;
type Overlay = (typeof OVERLAYS)[number];

/** Checks manifests against the schemas of Kubernetes' API; KUBERNETES_VALIDATE names it where it is not on the PATH. */
const VALIDATE = process.env.KUBERNETES_VALIDATE ?? 'kubernetes-validate';
const hasValidate = isInstalled(VALIDATE, '--version');
const withValidate = testIf(hasValidate, 'kubernetes-validate');
const hasKubectl = isInstalled('kubectl', 'kustomize', '--help');
/** `kubectl kustomize` builds an overlay without a cluster. */
const withBoth = testIf(hasValidate && hasKubectl, hasValidate ? 'kubectl' : 'kubernetes-validate');

function isInstalled(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: manifests, whose shape the schemas check
type Manifest = any;

/** Every document of a file of YAML; the checker brings what reads YAML. */
function read(path: string): Manifest[] {
  const python = VALIDATE.includes('/') ? join(dirname(VALIDATE), 'python3') : 'python3';
  const script = 'import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))';
  return JSON.parse(execFileSync(python, ['-c', script, path], { encoding: 'utf8' }));
}

type Built = { path: string; all: Manifest[]; get(kind: string, name?: string): Manifest; pod: Manifest };

const folder = mkdtempSync(join(tmpdir(), 'hushbox-kubernetes-'));
test.after.always(() => rmSync(folder, { recursive: true }));
const built = new Map<Overlay, Promise<Built>>();

/** Each overlay is built once for all tests. */
function build(overlay: Overlay): Promise<Built> {
  const building = built.get(overlay) ?? buildNow(overlay);
  built.set(overlay, building);
  return building;
}

async function buildNow(overlay: Overlay): Promise<Built> {
  const { stdout } = await run('kubectl', ['kustomize', join(ROOT, 'overlays', overlay)]);
  const path = join(folder, `${overlay}.yaml`);
  writeFileSync(path, stdout);
  const all = read(path);
  const get = (kind: string, name = 'hushbox'): Manifest =>
    all.find((one) => one.kind === kind && (kind === 'ConfigMap' || one.metadata.name === name));
  return { path, all, get, pod: get('StatefulSet').spec.template.spec };
}

/** What the schemas find wrong, members that they do not know included. A Route is OpenShift's own kind. */
async function faultsOf(...paths: string[]): Promise<string[]> {
  const checked = await run(VALIDATE, ['--strict', ...paths]).catch((error) => error);
  const lines = `${checked.stdout}${checked.stderr}`.split('\n').filter((line) => line !== '');
  return lines.filter((line) => !line.startsWith('INFO') && !/schema for kind Route /.test(line));
}

const MANIFESTS = globSync(`${ROOT}/**/*.yaml`).filter((path) => !path.endsWith('kustomization.yaml'));

withValidate("every manifest is what Kubernetes' API takes", async (t) => {
  t.true(MANIFESTS.length >= 6);
  t.deepEqual(await faultsOf(...MANIFESTS), []);
});

withValidate('a member that the API does not know is noticed', async (t) => {
  const path = join(await temporaryFolder(t), 'wrong.yaml');
  const text = readFileSync(join(ROOT, 'base/statefulset.yaml'), 'utf8');
  writeFileSync(path, text.replace('failureThreshold', 'failureTreshold'));
  t.regex((await faultsOf(path)).join('\n'), /failureTreshold/);
});

withValidate('a kustomization names every file beside it, and no other', (t) => {
  for (const path of globSync(`${ROOT}/**/kustomization.yaml`)) {
    const [{ resources }] = read(path);
    const beside = globSync(`${dirname(path)}/*.yaml`).map((file) => file.slice(dirname(path).length + 1));
    t.deepEqual(
      resources.filter((name: string) => name !== '../../base').sort(),
      beside.filter((name) => name !== 'kustomization.yaml').sort(),
    );
  }
});

for (const overlay of OVERLAYS) {
  withBoth(`overlay ${overlay}: built, it is what Kubernetes' API takes, in one namespace`, async (t) => {
    const { path, all } = await build(overlay);
    t.deepEqual(await faultsOf(path), []);
    t.true(all.length >= 6);
    for (const one of all) t.is(one.metadata.namespace, 'hushbox', one.kind);
  });

  withBoth(`overlay ${overlay}: the pods have no privileges, and no user id of ours`, async (t) => {
    const { pod } = await build(overlay);
    const { fsGroup, ...security } = pod.securityContext;
    t.is(fsGroup, overlay === 'openshift' ? undefined : 1000);
    t.true(security.runAsNonRoot);
    t.is(security.seccompProfile.type, 'RuntimeDefault');
    t.false('runAsUser' in security);
    t.is(pod.containers.length, 1);
    t.deepEqual(pod.containers[0].securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    t.false(pod.automountServiceAccountToken);
    t.false(pod.enableServiceLinks);
  });

  withBoth(`overlay ${overlay}: production starts with its variables`, async (t) => {
    const { get, pod } = await build(overlay);
    const { name: map, data } = { ...get('ConfigMap').metadata, ...get('ConfigMap') };
    t.deepEqual(pod.containers[0].envFrom, [{ configMapRef: { name: map } }]);
    const keys = await temporaryFolder(t);
    for (const file of ['master-key', 'create-token']) writeFileSync(join(keys, file), 'a'.repeat(64));
    writeFileSync(join(keys, 'storage-url'), 'mongodb://hushbox:some-password@db/hushbox?replicaSet=rs0');
    const given = Object.entries<string>(data).map(([name, value]) => [name, value.replace(/^\/keys/, keys)]);
    const env = { ...Object.fromEntries(imageVariables()), ...Object.fromEntries(given) };
    const { problems, warnings, values } = parseEnvironment(env);
    t.deepEqual([problems, warnings], [[], []]);
    t.is(values.NODE_ENV, 'production');
    t.is(values.FENCE_FILE, '/data/fence.json');
    t.is(values.STORAGE_URL?.startsWith('sqlite:/data/'), overlay === 'sqlite');
  });
}

withBoth('the mark outside the database survives its pod, and keys come as a whole folder', async (t) => {
  const { get, pod } = await build('example');
  const [claim] = get('StatefulSet').spec.volumeClaimTemplates;
  const mounts = pod.containers[0].volumeMounts;
  t.is(mounts.find(({ mountPath }: Manifest) => mountPath === '/data').name, claim.metadata.name);
  const keys = mounts.find(({ mountPath }: Manifest) => mountPath === '/keys');
  t.true(keys.readOnly);
  t.false('subPath' in keys);
  t.is(pod.volumes.find(({ name }: Manifest) => name === 'keys').secret.defaultMode, 0o440);
});

withBoth('pods are replaced one by one, when ready, and a drain of nodes stops at one', async (t) => {
  const { get, pod } = await build('example');
  const { replicas, updateStrategy, minReadySeconds, serviceName } = get('StatefulSet').spec;
  t.true(replicas >= 2);
  t.is(updateStrategy.type, 'RollingUpdate');
  t.true(minReadySeconds > 0);
  t.is(get('Service', serviceName).spec.clusterIP, 'None');
  const { maxUnavailable, selector } = get('PodDisruptionBudget').spec;
  t.is(maxUnavailable, 1);
  const { labels } = get('StatefulSet').spec.template.metadata;
  for (const chosen of [selector.matchLabels, get('Service').spec.selector]) t.like(labels, chosen);
  t.like(labels, get('NetworkPolicy').spec.podSelector.matchLabels);
  // The wait before SIGTERM, the 10 s that the program takes after it, and some room.
  const [command, seconds] = pod.containers[0].lifecycle.preStop.exec.command;
  t.is(command, 'sleep');
  t.true(pod.terminationGracePeriodSeconds >= Number(seconds) + 15);
});

withBoth('readiness asks the storage, liveness does not, and both ask the port that is served', async (t) => {
  const { get, pod } = await build('example');
  const [{ readinessProbe, livenessProbe, startupProbe, ports, resources }] = pod.containers;
  t.is(readinessProbe.httpGet.path, '/health/ready');
  for (const probe of [livenessProbe, startupProbe]) t.is(probe.httpGet.path, '/health/live');
  for (const probe of [readinessProbe, livenessProbe, startupProbe]) t.is(probe.httpGet.port, 'http');
  t.deepEqual(ports, [{ name: 'http', containerPort: 8000 }]);
  t.is(get('Service').spec.ports[0].targetPort, 'http');
  t.truthy(resources.limits.memory);
});

withBoth('only labelled namespaces reach the pods; these reach names, MongoDB and public addresses', async (t) => {
  for (const overlay of OVERLAYS) {
    const { ingress, egress, policyTypes } = (await build(overlay)).get('NetworkPolicy').spec;
    t.deepEqual([...policyTypes].sort(), ['Egress', 'Ingress']);
    t.is(ingress.length, 1);
    t.is(Object.keys(ingress[0].from[0].namespaceSelector.matchLabels).length, 1);
    const ports = egress.flatMap((rule: Manifest) => rule.ports.map(({ port }: Manifest) => port));
    t.deepEqual(ports, overlay === 'sqlite' ? [53, 53, 443] : [53, 53, 27_017, 443]);
    const { except } = egress.at(-1).to[0].ipBlock;
    for (const range of ['10.0.0.0/8', '169.254.0.0/16', '192.168.0.0/16']) t.true(except.includes(range));
  }
});

/** `ENV` of the image. */
function imageVariables(): [string, string][] {
  const line = /^ENV (.*)$/m.exec(readFileSync('Dockerfile', 'utf8'))?.[1] ?? '';
  return line.split(' ').map((pair) => pair.split('=') as [string, string]);
}

test("the image's user has a number, which Kubernetes needs to see that it is not root", (t) => {
  t.regex(readFileSync('Dockerfile', 'utf8'), /^USER [1-9]\d*$/m);
});

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import test from 'ava';
import { FAMILIES, type Family } from '../../src/ops/metrics/families.ts';
import { testWith } from '../support/process/tools.ts';

const ALERTS = readFileSync('deploy/prometheus/alerts.yml', 'utf8');

/** What Prometheus gets of a family: its name; of a histogram, three. With the labels that each has. */
function seriesOf([name, { type, labels }]: [string, Family]): [string, readonly string[]][] {
  if (type !== 'histogram') return [[name, labels]];
  return [
    [`${name}_bucket`, [...labels, 'le']],
    [`${name}_sum`, labels],
    [`${name}_count`, labels],
  ];
}

const SERIES = new Map(Object.entries<Family>(FAMILIES).flatMap(seriesOf));

test('the alert rules ask only for metrics and labels that there are', (t) => {
  const selectors = [...ALERTS.matchAll(/\b(?<name>hushbox_\w+)(?:\{(?<matchers>[^}]*)\})?/g)];
  t.true(selectors.length > 10);
  for (const { groups } of selectors) {
    const { name = '', matchers = '' } = groups ?? {};
    // A description may name a family as a whole.
    const labels = SERIES.get(name) ?? SERIES.get(`${name}_bucket`);
    t.truthy(labels, name);
    for (const [label] of matchers.matchAll(/\w+(?=[=!])/g)) t.true(labels?.includes(label), `${name} has no ${label}`);
  }
});

const withPromtool = testWith('promtool');

for (const args of [
  ['check', 'config', 'deploy/prometheus/prometheus.yml'],
  ['check', 'rules', 'deploy/prometheus/alerts.yml'],
  ['test', 'rules', 'deploy/prometheus/alerts.test.yml'],
]) {
  withPromtool(`promtool ${args.join(' ')}`, (t) => {
    t.notThrows(() => execFileSync('promtool', args, { stdio: 'pipe' }));
  });
}

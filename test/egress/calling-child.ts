import { parseAllowList } from '../../src/allow-list.ts';
import { createEgress } from '../../src/egress/egress.ts';
import { PATIENT, PROXY, textOf } from '../support/calls-out.ts';

/** Sends one request to a port of loopback, as a process of its own with an environment of its own; prints the answer. */
const allowed = parseAllowList('127.0.0.1') ?? [];
const egress = createEgress({ allowed, servers: [], onAttempt: () => {} });
const url = `http://127.0.0.1:${process.argv[2]}/`;
const answer = await egress.send({
  url,
  rules: PROXY,
  method: 'POST',
  headers: [],
  body: Buffer.of(),
  limits: PATIENT,
});
process.stdout.write(`${await textOf(answer.body)}\n`);
await egress.close();

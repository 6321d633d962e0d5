import { createEgress } from '../../src/egress/egress.ts';
import { parseAllowList } from '../../src/network/allow-list.ts';
import { PATIENT, PROXY, textOf } from '../support/egress/calls-out.ts';

/** Sends a request to each URL given, in a process with an environment of its own; prints each answer, or its code. */
const egress = createEgress({ allowed: parseAllowList('127.0.0.1') ?? [], servers: [], onAttempt: () => {} });
for (const url of process.argv.slice(2)) {
  try {
    const request = { url, rules: PROXY, method: 'POST', headers: [], body: Buffer.of(), limits: PATIENT } as const;
    process.stdout.write(`${await textOf((await egress.send(request)).body)}\n`);
  } catch (error) {
    process.stdout.write(`${(error as { code?: string }).code}\n`);
  }
}
await egress.close();

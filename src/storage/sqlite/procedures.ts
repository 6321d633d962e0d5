import type { DatabaseSync } from 'node:sqlite';
import type { StoreLimits } from '../../limits/limits.ts';
import { createAccountProcedures } from './accounts/procedures.ts';
import { createCustomerProcedures } from './customers/procedures.ts';
import { createFenceProcedures } from './fence/procedures.ts';
import { createLimitProcedures, createTakings } from './limits/procedures.ts';
import { createLinkEnding } from './links/ending.ts';
import { createLinkProcedures } from './links/procedures.ts';
import { createMailProcedures } from './mails/procedures.ts';
import { createEventProcedures, createEventWriter } from './outbox/procedures.ts';
import { createSecretProcedures } from './secrets/procedures.ts';
import { createSessionProcedures } from './sessions/procedures.ts';
import { createSightingProcedures } from './sightings/procedures.ts';
import { createSigningKeyProcedures } from './signing-keys/procedures.ts';
import { createSinkProcedures } from './sink/procedures.ts';
import { createUsage } from './usage.ts';

export type SqliteProcedures = ReturnType<typeof createProcedures>['procedures'];

/** All that the storage thread can be asked to do, and what runs at the start and at the end of each transaction. */
export function createProcedures(database: DatabaseSync, limits: StoreLimits) {
  const usage = createUsage(database, limits);
  const takings = createTakings(database);
  const events = createEventWriter(database, usage);
  const links = createLinkEnding(database, usage);
  return {
    procedures: {
      ...createSecretProcedures({ database, limits, usage, takings, events }),
      ...createEventProcedures(database, usage),
      ...createMailProcedures(database, usage),
      ...createSinkProcedures(database, usage),
      ...createCustomerProcedures(database, usage),
      ...createFenceProcedures(database, usage),
      ...createLimitProcedures(takings),
      ...createAccountProcedures(database, usage, links),
      ...createLinkProcedures(database, usage, links),
      ...createSessionProcedures(database),
      ...createSightingProcedures(database),
      ...createSigningKeyProcedures(database),
    },
    before(): void {
      usage.forget();
      takings.forget();
    },
    after(): void {
      usage.save();
      takings.save();
    },
  };
}

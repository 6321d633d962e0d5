import type { Engine } from '../support/storage/storage.ts';
import { budgetContract } from './contract/budget.ts';
import { contentContract } from './contract/content.ts';
import { eventProcessContract } from './contract/event-processes.ts';
import { eventContract } from './contract/events.ts';
import { limitContract } from './contract/limits.ts';
import { processContract } from './contract/processes.ts';
import { raceContract } from './contract/races.ts';
import { recordContract } from './contract/records.ts';
import { requestEventContract } from './contract/request-events.ts';
import { requestProcessContract } from './contract/request-processes.ts';
import { requestContract } from './contract/requests.ts';
import { stateContract } from './contract/states.ts';
import { sweepContract } from './contract/sweep.ts';
import type { ContractTest, RawRecords } from './contract/world.ts';

/**
 * Every engine passes this suite: what `SecretStore` and `EventStore` promise, with each state at its exact
 * instant. The clock is an argument of every verb, so that nothing sleeps.
 */
export function secretStoreContract(engine: Engine, rawRecords: RawRecords): void {
  // One after the other: the races in them are to be with themselves.
  const testSerially = engine.test.serial;
  const test: ContractTest = (title, run) =>
    testSerially(`${engine.name}: ${title}`, async (t) => {
      const { url, open } = await engine.place(t);
      const { secrets, events, close } = await open();
      await run(t, { store: secrets, events, url, open, close, raw: () => rawRecords(url) });
    });
  contentContract(test);
  stateContract(test);
  budgetContract(test);
  raceContract(test);
  sweepContract(test);
  recordContract(test);
  limitContract(test);
  eventContract(test);
  requestContract(test);
  requestEventContract(test);
  processContract(test);
  eventProcessContract(test);
  requestProcessContract(test);
}

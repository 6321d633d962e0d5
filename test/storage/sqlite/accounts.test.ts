import { SQLITE } from '../../support/storage/storage.ts';
import { customerStoreContract } from '../customer-store-contract.ts';
import { sessionStoreContract } from '../session-store-contract.ts';
import { sightingStoreContract } from '../sighting-store-contract.ts';
import { signingKeyStoreContract } from '../signing-key-store-contract.ts';

// A file of their own: with all of a kind in one file, tests that measure time would wait for the races of others.
sessionStoreContract(SQLITE);

sightingStoreContract(SQLITE);
signingKeyStoreContract(SQLITE);

customerStoreContract(SQLITE);

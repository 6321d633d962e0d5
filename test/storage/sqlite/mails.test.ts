import { SQLITE } from '../../support/storage/storage.ts';
import { mailStoreContract } from '../mail-store-contract.ts';

mailStoreContract(SQLITE);

import type { ContractTest } from './world.ts';

export function requestEventContract(_test: ContractTest): void {}

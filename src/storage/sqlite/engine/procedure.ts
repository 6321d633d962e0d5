import type { Value } from './codec.ts';

/** Runs inside a transaction of the storage thread: never waits, and must not assume that it is alone in it. */
export type Procedure = (...values: never[]) => Value;

/** What the storage thread can be asked to do, by name. */
export type Procedures = Readonly<Record<string, Procedure>>;

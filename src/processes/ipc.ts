import type { Bound } from '../http/socket-file.ts';
import type { Samples } from '../ops/metrics/families.ts';
import type { Report } from '../ops/metrics/meters.ts';

/** Orders a worker to answer its requests and end. */
export type DrainOrder = {
  type: 'drain';
  /** How long new connections are still taken while the earlier ones are answered. */
  acceptMs: number;
  /** Requests that are not answered by then are cut. */
  deadlineMs: number;
};

/** Which of a worker's two listeners. */
export type Door = 'public' | 'internal';

/** Messages from the primary to a worker. */
export type ToWorker =
  /** It reports at once: somebody wants the totals. */
  | { type: 'want-report' }
  /** A second order can only shorten the deadline. */
  | DrainOrder
  /** The file of its socket was removed or replaced. `firstName` is set for the internal one. */
  | { type: 'bind'; door: Door; firstName?: string }
  /** The worker holds one hash slot until it frees it. */
  | { type: 'slot' }
  /** The answer to `want-totals` of this id. */
  | { type: 'totals'; id: number; totals: Samples };

/** Messages from a worker to the primary. */
export type ToPrimary =
  /** It listens to the primary. Messages sent before are lost. */
  | { type: 'up' }
  /** A sign of life. */
  | { type: 'alive' }
  /** It listens on a socket. `firstName` is set for the internal one. */
  | { type: 'bound'; door: Door; path: string; firstName?: string; bound: Bound }
  /** It listens, and its storage answers. */
  | { type: 'ready' }
  /** It cannot run, and another start would not help. */
  | { type: 'hopeless'; reason: string }
  | { type: 'report'; report: Report }
  | { type: 'want-totals'; id: number }
  | { type: 'want-slot' }
  | { type: 'free-slot' };

/** How often a worker sends `alive`. */
export const ALIVE_MS = 2_000;
/** The environment variable that holds a worker's number, from 1. */
export const WORKER_NUMBER = 'HUSHBOX_WORKER_NUMBER';
/** The environment variable that holds the first name of the internal socket. */
export const INTERNAL_FIRST_NAME = 'HUSHBOX_INTERNAL_FIRST_NAME';
/** The exit code after `hopeless`. */
export const EXIT_HOPELESS = 78; // EX_CONFIG of sysexits.h

import type { Samples } from '../ops/metrics/families.ts';
import type { Report } from '../ops/metrics/meters.ts';

/** How to leave. */
export type DrainOrder = {
  type: 'drain';
  /** How long connections may still be taken while those from before are answered. */
  acceptMs: number;
  /** What is not answered by then is cut. */
  deadlineMs: number;
};

/** What the primary tells a worker. */
export type ToWorker =
  | { type: 'ping' }
  /** Answer what is there, then end. A second one can only shorten the deadline. */
  | DrainOrder
  /** One hash slot is yours until you free it. */
  | { type: 'slot' }
  /** The answer to `want-totals` of this id. */
  | { type: 'totals'; id: number; totals: Samples };

/** What a worker tells the primary. */
export type ToPrimary =
  /** It listens to the primary: what it was told before is lost. */
  | { type: 'up' }
  | { type: 'pong' }
  /** It serves, and its storage answers. */
  | { type: 'ready' }
  /** It cannot run, and trying again will not help. */
  | { type: 'hopeless'; reason: string }
  | { type: 'report'; report: Report }
  | { type: 'want-totals'; id: number }
  | { type: 'want-slot' }
  | { type: 'free-slot' };

/** The environment variable in which a worker finds its number, from 1. */
export const WORKER_NUMBER = 'HUSHBOX_WORKER_NUMBER';
/** The environment variable in which a worker finds the first name of the internal socket. */
export const INTERNAL_FIRST_NAME = 'HUSHBOX_INTERNAL_FIRST_NAME';
/** The environment variable in which `make run` leaves its process id. */
export const MAKE_PID = 'HUSHBOX_MAKE_PID';
/** The exit code after `hopeless`. */
export const EXIT_HOPELESS = 78; // EX_CONFIG of sysexits.h

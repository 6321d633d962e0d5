/** What the primary tells a worker. */
export type ToWorker =
  | { type: 'ping' }
  /** Answer what is there, take nothing new, end. */
  | { type: 'drain' }
  /** One hash slot is yours until you free it. */
  | { type: 'slot' };

/** What a worker tells the primary. */
export type ToPrimary =
  | { type: 'pong' }
  /** It listens, and its storage answers. */
  | { type: 'ready' }
  /** It cannot run, and trying again will not help. */
  | { type: 'hopeless'; reason: string }
  | { type: 'want-slot' }
  | { type: 'free-slot' };

/** The environment variable in which a worker finds its number, from 1. */
export const WORKER_NUMBER = 'HUSHBOX_WORKER_NUMBER';
/** The exit code after `hopeless`. */
export const EXIT_HOPELESS = 78; // EX_CONFIG of sysexits.h

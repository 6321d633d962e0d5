import type { Context } from 'koa';
import { z } from 'zod';
import { AppError } from '../errors.ts';
import { formatInstant } from '../http/instant.ts';
import type { ApiPart } from '../http/openapi.ts';
import { instant, json, operation, route } from '../http/operation.ts';
import { type Page, pageOrJson } from '../http/page.ts';
import type { Route } from '../http/routing.ts';
import { EXPOSITION_TYPE, writeExposition } from './metrics/exposition.ts';
import type { Samples } from './metrics/families.ts';
import type { Status } from './status.ts';

const LIVE = { status: 'live' } as const;
const READY = { status: 'ready' } as const;

const isLive = operation('isLive', 'GET', '/health/live', {
  summary: 'Whether the process answers',
  answer: json(200, 'It does.', z.object({ status: z.literal('live') }).meta({ id: 'Live' }), LIVE),
  errors: [],
});

const isReady = operation('isReady', 'GET', '/health/ready', {
  summary: 'Whether to send requests here',
  description: 'Ready means that storage takes writes and the process is not shutting down.',
  answer: json(200, 'It is ready.', z.object({ status: z.literal('ready') }).meta({ id: 'Ready' }), READY),
  errors: ['DRAINING', 'STORAGE_UNAVAILABLE'],
});

const getStatus = operation('getStatus', 'GET', '/status', {
  summary: 'Uptime and number of requests served',
  description:
    '`requests` counts what all workers have answered since the program started, up to half a second ago. Refused requests and those of workers that have ended are included; the request that asks is not. When a worker is killed, its last half second is lost. A browser (`Accept: text/html`) gets a page that refreshes itself.',
  answer: json(
    200,
    'The current figures.',
    z
      .object({
        started_at: instant('When the program started.'),
        uptime_seconds: z.number().min(0),
        requests: z.int().min(0),
      })
      .meta({ id: 'Status' }),
    { started_at: '2026-11-21T00:00:00.000Z', uptime_seconds: 12_345.678, requests: 67_890 },
  ),
  isPageToo: true,
  errors: ['TOTALS_UNAVAILABLE'],
});

const getDocument = operation('getDocument', 'GET', '/openapi.json', {
  summary: 'This document, with the limits of this server',
  answer: json(200, 'An OpenAPI 3.1 document.', z.object({ openapi: z.string() }).meta({ id: 'Document' }), {
    openapi: '3.1.1',
  }),
  errors: [],
});

const getReference = operation('getReference', 'GET', '/docs', {
  summary: 'This document for people',
  answer: { status: 200, description: 'The page.', textType: 'text/html' },
  errors: [],
});

export const opsApi: ApiPart = {
  tag: { name: 'operation', description: 'For load balancers, supervisors and tools.' },
  operations: [isLive, isReady, getStatus, getDocument, getReference],
};

export type HealthParts = {
  /** Rejects when storage takes no writes. */
  ping(): Promise<void>;
  isDraining(): boolean;
};

/** Liveness and readiness. */
export function healthRoutes({ ping, isDraining }: HealthParts): Route[] {
  return [
    route(isLive, [], () => LIVE),
    route(isReady, [], async () => {
      if (isDraining()) throw new AppError('DRAINING', { retryAfterSeconds: 1 });
      await ping();
      return READY;
    }),
  ];
}

/** Uptime, and how many requests were answered. */
export function statusRoute(readStatus: () => Promise<Status>, page: Page<Status>): Route {
  return route(getStatus, [], ({ ctx }) =>
    pageOrJson(ctx, page, readStatus, ({ startedAt, uptimeSeconds, requests }) => ({
      started_at: formatInstant(startedAt),
      uptime_seconds: uptimeSeconds,
      requests,
    })),
  );
}

/** Prometheus metrics of all workers in one. */
export function metricsRoute(readTotals: () => Promise<Samples>, version: string): Route {
  const build: Samples = { hushbox_build_info: { [`${version} ${process.version}`]: [1] } };
  return {
    method: 'GET',
    path: '/metrics',
    async run(ctx) {
      const text = writeExposition({ ...(await readTotals()), ...build });
      ctx.type = EXPOSITION_TYPE;
      ctx.body = text;
    },
  };
}

/** The OpenAPI document, for programs and for people. */
export function documentRoutes(
  describe: () => { openapi: string },
  showReference: (ctx: Context) => undefined,
): Route[] {
  let document: Buffer | undefined;
  return [
    route(getDocument, [], ({ ctx }) => {
      // Made once: what waits for slow clients is then the same bytes.
      document ??= Buffer.from(JSON.stringify(describe()));
      ctx.type = 'application/json; charset=utf-8';
      ctx.body = document;
      return undefined;
    }),
    route(getReference, [], ({ ctx }) => showReference(ctx)),
  ];
}

import Router, { type Layer } from '@koa/router';
import type { Context } from 'koa';
import { AppError } from '../errors.ts';
import type { Admit } from './origin.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export type Route = {
  method: Method;
  /** Case counts; `:name` stands for a segment. */
  path: string;
  /** Decides how this request is answered, refusals included. */
  prepare?(ctx: Context): void;
  run(ctx: Context, params: Readonly<Record<string, string>>): Promise<void> | void;
};

/** Answers a request, or throws an AppError. */
export type Handler = (ctx: Context) => Promise<void> | void;

/** What one path takes, by method; GET serves HEAD too. */
type Place = { path: string; pattern: Layer | undefined; routes: ReadonlyMap<string, Route> };

const NO_PARAMS = {};

/**
 * Runs the route of a request; without one the answer is 404, 405 with `Allow`, or that to OPTIONS. A slash at the end
 * makes no difference, and repeated slashes count as one.
 *
 * A path without parameters is looked up. Of the others only those with the same first segment are tried, because the
 * time of a router that tries all of them grows with every route.
 *
 * @param admit what every request has to pass, unknown paths included, before its route runs.
 */
export function createRouting(routes: readonly Route[], admit: Admit): Handler {
  const places = [...Map.groupBy(routes, ({ path }) => path)].map(([path, group]) => createPlace(path, group));
  const fixed = new Map(places.filter(({ pattern }) => !pattern).map((place) => [place.path, place]));
  const patterns = Map.groupBy(
    places.filter(({ pattern }) => pattern),
    ({ path }) => firstSegment(path),
  );

  function find(path: string): Place | undefined {
    return fixed.get(path) ?? patterns.get(firstSegment(path))?.find(({ pattern }) => pattern?.match(path));
  }

  return (ctx) => {
    const path = withoutNeedlessSlashes(ctx.path);
    const place = find(path);
    const route = place?.routes.get(ctx.method);
    if (place && route) ctx.state.route = place.path;
    route?.prepare?.(ctx);
    admit(ctx);
    if (!place) throw new AppError('NOT_FOUND');
    if (route) {
      return route.run(ctx, place.pattern?.params(path, place.pattern.captures(path)) ?? NO_PARAMS);
    }
    ctx.set('allow', [...place.routes.keys(), 'OPTIONS'].join(', '));
    if (ctx.method !== 'OPTIONS') throw new AppError('METHOD_NOT_ALLOWED');
    ctx.status = 204;
  };
}

function createPlace(path: string, group: readonly Route[]): Place {
  const routes = new Map<string, Route>();
  for (const route of group) {
    if (routes.has(route.method)) throw new TypeError(`two routes for ${route.method} ${path}`);
    if (route.method === 'GET') routes.set('HEAD', route);
    routes.set(route.method, route);
  }
  return { path, pattern: path.includes(':') ? parsePattern(path) : undefined, routes };
}

/** The router knows patterns, and is asked about one at a time. */
function parsePattern(path: string): Layer | undefined {
  return new Router({ sensitive: true }).all(path, () => {}).stack[0];
}

function withoutNeedlessSlashes(path: string): string {
  const folded = path.includes('//') ? path.replace(/\/{2,}/g, '/') : path;
  return folded.length > 1 && folded.endsWith('/') ? folded.slice(0, -1) : folded;
}

/** Of `/secrets/KEY` it is `secrets`. */
function firstSegment(path: string): string {
  return path.split('/', 2)[1] ?? '';
}

import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../errors.ts';
import { prefersText } from './accept.ts';
import { readJsonObject } from './body.ts';
import { type BodyRoom, type Lease, SMALL_BYTES } from './body-room.ts';
import { readFields } from './form.ts';
import { answer, showErrorsWith, varyOn } from './respond.ts';
import type { Method, Route } from './routing.ts';
import { validate } from './validate.ts';

/** Members by name. A description and an example of a schema are its `meta`. */
type Shape = Readonly<Record<string, z.ZodType>>;

type SecurityScheme =
  | 'none'
  | 'createToken'
  | 'proxyToken'
  | 'proxyAuthorization'
  | 'sessionToken'
  | 'sessionBearer'
  | 'sessionProof'
  | 'sessionCookie'
  | 'refreshCookie';

/** What a request of a logged-in client carries. */
export const SESSION = [
  'sessionToken',
  'sessionBearer',
  'sessionProof',
  'sessionCookie',
] as const satisfies readonly SecurityScheme[];

/** The one definition of a route: the router, the checks of its input and the OpenAPI document come from it. */
export type Operation<
  Param extends string = string,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodObject = z.ZodObject,
  Answer extends z.ZodType = z.ZodType,
> = {
  /** Unique. Clients are generated from it. */
  id: string;
  method: Method;
  /** `:name` stands for a segment. */
  path: string;
  summary: string;
  /** In Markdown. */
  description?: string;
  /** Schemes that a request may use; `none` if it may also use none. Default: nothing is needed. */
  security?: readonly SecurityScheme[];
  params?: Readonly<Record<Param, z.ZodType>>;
  /** Documented here, and read by the handler. */
  headers?: Shape;
  query?: Query;
  /** A JSON object. */
  body?: {
    schema: Body;
    limitBytes: number;
    examples: Readonly<Record<string, z.input<Body>>>;
    /** The fields of a form do too. */
    isFormToo?: true;
  };
  /** A body that is not JSON, and that the handler reads. */
  anyBody?: true;
  answer: SuccessAnswer<Answer>;
  /** What can be asked next: the operation, and the member of the answer that is its key. */
  links?: Readonly<Record<string, readonly [operationId: string, member: string]>>;
  /** A browser (`Accept: text/html`) gets a page instead of JSON, for the answer and for these errors. */
  isPageToo?: true;
  /** A client that prefers text gets plain text instead of JSON: what the answer is then. An error is one line. */
  asText?: string;
  /** An answer that is passed on: any status, any type. */
  passedOn?: string;
  /** Its own codes: not INVALID_REQUEST, those of reading a body, and those that any request can get. */
  errors: readonly ErrorCode[];
  /** Members that a code adds to its answer. */
  errorMembers?: Readonly<Partial<Record<ErrorCode, Shape>>>;
};

type SuccessAnswer<T extends z.ZodType> = {
  status: 200 | 201 | 202 | 204;
  description: string;
  /** Of JSON. */
  schema?: T;
  example?: z.input<T>;
  /** The media type of text. */
  textType?: string;
};

export function json<T extends z.ZodType>(
  status: 200 | 201 | 202,
  description: string,
  schema: T,
  example: z.input<T>,
): SuccessAnswer<T> {
  return { status, description, schema, example };
}

/** Keeps the types of an operation's schemas. */
export function operation<
  Param extends string = never,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodObject = z.ZodObject,
  Answer extends z.ZodType = z.ZodUndefined,
>(
  id: string,
  method: Method,
  path: string,
  rest: Omit<Operation<Param, Query, Body, Answer>, 'id' | 'method' | 'path'>,
): Operation<Param, Query, Body, Answer> {
  return { id, method, path, ...rest };
}

/** Runs before the handler, and throws an AppError for a request that may not pass. */
export type Guard = (ctx: Context) => void | Promise<void>;

export type Input<Param extends string, Query extends z.ZodObject, Body extends z.ZodObject> = {
  ctx: Context;
  request: IncomingMessage;
  params: Readonly<Record<Param, string>>;
  query: z.output<Query>;
  /** @throws AppError of `readJsonObject` and `validate`. */
  readBody(): Promise<z.output<Body>>;
  /** Room for an answer that may be large. */
  openLease(): Lease;
};

type Handled<Answer extends z.ZodType> = z.input<Answer> | undefined;

/**
 * Joins an operation and its handler.
 * @param handle returns the answer's body; undefined for an answer without a body, or when it has answered itself.
 * @param toText for an operation with `asText`.
 */
export function route<
  Param extends string,
  Query extends z.ZodObject,
  Body extends z.ZodObject,
  Answer extends z.ZodType,
>(
  { method, path, query, body, asText, answer: { status } }: Operation<Param, Query, Body, Answer>,
  guards: readonly Guard[],
  handle: (input: Input<Param, Query, Body>) => Handled<NoInfer<Answer>> | Promise<Handled<NoInfer<Answer>>>,
  toText?: (value: z.input<NoInfer<Answer>>, ctx: Context) => string,
): Route {
  if ((asText === undefined) !== (toText === undefined)) throw new TypeError(`${method} ${path}: asText and toText`);
  const canBeLarge = body !== undefined && body.limitBytes > SMALL_BYTES;
  if (canBeLarge && body.isFormToo) throw new TypeError(`${method} ${path}: a large body is never a form`);
  async function readBody(ctx: Context): Promise<z.output<Body>> {
    if (!body) throw new TypeError(`${method} ${path} has no body`);
    if (body.isFormToo) return validate(body.schema, await readFields(ctx.req, body.limitBytes));
    const openLease = canBeLarge ? () => leaseOf(ctx) : undefined;
    return validate(body.schema, await readJsonObject(ctx.req, body.limitBytes, openLease));
  }
  return {
    method,
    path,
    ...(toText && { prepare: chooseText }),
    async run(ctx, params) {
      for (const guard of guards) await guard(ctx);
      const value = await handle({
        ctx,
        request: ctx.req,
        params: params as Record<Param, string>,
        query: (query ? validate(query, { ...ctx.query }, 'The query') : {}) as z.output<Query>,
        readBody: () => readBody(ctx),
        openLease: () => leaseOf(ctx),
      });
      if (value !== undefined) {
        answer(ctx, status, toText && ctx.state.isText ? toText(value, ctx) : (value as object));
      } else if (status === 204) ctx.status = status;
    },
  };
}

/** The one of this request. Its turn ends when the answer is written (respond.ts). */
function leaseOf(ctx: Context): Lease {
  ctx.state.lease ??= (ctx.state.room as BodyRoom).openLease(ctx.req, ctx.res);
  return ctx.state.lease;
}

function chooseText(ctx: Context): void {
  varyOn(ctx, 'accept');
  if (!prefersText(ctx.req.headers.accept)) return;
  ctx.state.isText = true;
  showErrorsWith(ctx, (_ctx, error) => answer(ctx, ERRORS[error.code].status, error.message.replace(/\s+/g, ' ')));
}

/** The schema of an instant as `formatInstant` writes it. */
export function instant(description: string): z.ZodString {
  return z.string().meta({ format: 'date-time', description });
}

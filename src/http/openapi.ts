import { z } from 'zod';
import { ERRORS, type ErrorCode, PROXY_CODES, PUBLIC_CODES } from '../errors.ts';
import { FORM_TYPES } from './form.ts';
import type { Operation } from './operation.ts';

/** JSON Schema 2020-12, the dialect of OpenAPI 3.1; and whatever else the document holds. */
export type Schema = Readonly<Record<string, unknown>>;
type Content = Readonly<Record<string, { schema: Schema; examples?: Schema; encoding?: Schema }>>;
export type Answer = {
  description: string;
  headers: Readonly<Record<string, Schema>>;
  content?: Content;
  links?: Schema;
};
export type DescribedOperation = {
  operationId: string;
  tags: readonly [string];
  summary: string;
  description?: string;
  security?: readonly Schema[];
  parameters?: readonly Schema[];
  requestBody?: { required: boolean; description: string; content: Content };
  responses: Readonly<Record<string, Answer | { $ref: string }>>;
};
/** A path's operations, by method in small letters. */
export type PathItem = Record<string, DescribedOperation>;

/** A request that the service sends. */
export type Webhook = Pick<Operation, 'id' | 'summary' | 'description' | 'headers'> & {
  body: { description: string; schema: z.ZodType; example: unknown };
  /** What the receiver's answers mean, by status. */
  answers: Readonly<Record<string, { description: string; headers?: Operation['headers'] }>>;
};

/** What one module adds to the document. A schema with an `id` in its `meta` becomes a component of this name. */
export type ApiPart = {
  tag: { name: string; description: string };
  operations: readonly Operation[];
  /** By the names of their events. */
  webhooks?: Readonly<Record<string, Webhook>>;
};

/** Everything in the document that comes from operations. */
export function describeApi(parts: readonly ApiPart[]) {
  const paths: Record<string, PathItem> = {};
  const webhooks: Record<string, PathItem> = {};
  const schemas: Record<string, Schema> = {};
  const toSchema = createConverter(schemas);
  for (const { tag, operations, webhooks: events = {} } of parts) {
    for (const operation of operations) {
      const path = operation.path.replace(/:(\w+)/g, '{$1}');
      paths[path] ??= {};
      paths[path][operation.method.toLowerCase()] = describeOperation(operation, tag.name, toSchema);
    }
    for (const [name, webhook] of Object.entries(events)) {
      webhooks[name] = { post: describeWebhook(webhook, tag.name, toSchema) };
    }
  }
  const responses = Object.entries({ ...ANY_REQUEST, ...NO_OPERATION }).map(
    ([name, code]) => [name, describeErrors([code], {}, toSchema)] as const,
  );
  return {
    tags: parts.map(({ tag }) => tag),
    paths,
    webhooks,
    components: {
      headers: describeHeaders(SHARED_HEADERS, toSchema),
      responses: Object.fromEntries(responses),
      schemas,
    },
  };
}

type Converter = (type: z.ZodType) => Schema;

/** @param named takes the schemas that have a name; others refer to them. */
function createConverter(named: Record<string, Schema>): Converter {
  const converted = new Map<z.ZodType, Schema>(); // most answers are the one of errors
  const convert: Converter = (type) => {
    // `input`: the wire, before defaults and transforms; it also leaves answers open for further members.
    const { properties, $defs } = z.toJSONSchema(z.object({ type }), { io: 'input', override: dropSafeIntegers });
    const text = JSON.stringify({ type: properties?.type, named: $defs });
    const moved = JSON.parse(text.replaceAll('"#/$defs/', '"#/components/schemas/'));
    Object.assign(named, moved.named);
    return moved.type;
  };
  return (type) => {
    const schema = converted.get(type) ?? convert(type);
    converted.set(type, schema);
    return schema;
  };
}

/** zod adds these bounds to every integer. They say nothing that JSON does not. */
function dropSafeIntegers({ jsonSchema }: { jsonSchema: { minimum?: number; maximum?: number } }): void {
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
}

const REQUEST_ID = { 'x-request-id': { $ref: '#/components/headers/RequestId' } };
const RETRY_AFTER = { 'retry-after': { $ref: '#/components/headers/RetryAfter' } };

const SHARED_HEADERS = {
  RequestId: z.string().meta({ format: 'uuid', description: 'Names this request in the log; errors repeat it.' }),
  RetryAfter: z.int().min(1).describe('Seconds to wait before the next attempt.'),
  Allow: z.string().meta({ description: 'The methods of this path.', examples: ['HEAD, GET, POST, OPTIONS'] }),
  ProxyAuthenticate: z
    .enum(['Bearer', 'Basic realm="Hushbox", Bearer'])
    .describe('How to authenticate; `Basic`, with the token as the password, only where the target is a whole URL.'),
  WwwAuthenticate: z
    .string()
    .regex(/^(?:Bearer|DPoP algs="[\w ]+")$/)
    .describe('How to authenticate; `DPoP` where a request came with a proof.'),
};

/** Headers that come with a status, whatever the code. */
const HEADERS_OF_STATUS: Readonly<Record<number, Answer['headers']>> = {
  401: { 'www-authenticate': { $ref: '#/components/headers/WwwAuthenticate' } },
  405: { allow: { $ref: '#/components/headers/Allow' } },
  407: { 'proxy-authenticate': { $ref: '#/components/headers/ProxyAuthenticate' } },
  429: RETRY_AFTER,
  503: RETRY_AFTER,
  507: RETRY_AFTER,
};

/** What any request can get; each operation refers to these. */
const ANY_REQUEST: Readonly<Record<string, ErrorCode>> = {
  RequestTimeout: 'REQUEST_TIMEOUT',
  ExpectationFailed: 'EXPECTATION_FAILED',
  Misdirected: 'MISDIRECTED',
  HeadersTooLarge: 'HEADERS_TOO_LARGE',
  InternalError: 'INTERNAL',
};

const BODY_ERRORS = ['TOO_LARGE', 'UNSUPPORTED_ENCODING'] as const;

/** What a request gets that no operation takes. */
const NO_OPERATION: Readonly<Record<string, ErrorCode>> = {
  NotFound: 'NOT_FOUND',
  MethodNotAllowed: 'METHOD_NOT_ALLOWED',
};

const proxyCodes = Object.entries(PROXY_CODES)
  .map(([code, status]) => `\`${code}\` (${status})`)
  .join(', ');

const ErrorBody = z
  .object({
    Error: z.string().describe('A sentence for people. It may change, and never repeats what was sent.'),
    code: z
      .enum([...PUBLIC_CODES, ...Object.keys(PROXY_CODES)])
      .describe(
        `For programs. Once released, a code keeps its meaning. Only nginx in front answers with ${proxyCodes}.`,
      ),
    request_id: z.string().meta({ format: 'uuid', description: 'As in the header `x-request-id`.' }),
  })
  .meta({ id: 'Error', description: 'The one shape of every error.' });

const EXAMPLE_REQUEST_ID = '3f6c1f0e-7a52-4c39-9a55-0d6f3c1e8b21';

function describeOperation(operation: Operation, tag: string, toSchema: Converter): DescribedOperation {
  const { id, summary, description, security, params, query, headers, body, anyBody, passedOn, answer } = operation;
  const parameters = [
    ...describeParameters('path', params, toSchema),
    ...describeParameters('query', query?.shape, toSchema),
    ...describeParameters('header', headers, toSchema),
  ];
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description && { description }),
    ...(security && { security: security.map((name) => (name === 'none' ? {} : { [name]: [] })) }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: !body.schema.safeParse({}).success,
        description: 'A JSON object in UTF-8, whatever the content type says. An empty body is `{}`.',
        content: {
          ...jsonContent(toSchema(body.schema), body.examples),
          ...(body.isFormToo && formContent(body.schema, toSchema)),
        },
      },
    }),
    ...(anyBody && { requestBody: { required: false, description: 'Anything.', content: ANYTHING } }),
    responses: {
      ...describeErrorAnswers(operation, toSchema),
      [answer.status]: describeAnswer(operation, toSchema),
      ...(passedOn && { default: { description: passedOn, headers: REQUEST_ID, content: OF_ANY_TYPE } }),
    },
  };
}

function describeWebhook(webhook: Webhook, tag: string, toSchema: Converter): DescribedOperation {
  const { id, summary, description, headers, body, answers } = webhook;
  const responses = Object.entries(answers).map(([status, answer]) => [
    status,
    { description: answer.description, headers: describeHeaders(answer.headers ?? {}, toSchema) },
  ]);
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description && { description }),
    parameters: describeParameters('header', headers, toSchema),
    requestBody: {
      required: true,
      description: body.description,
      content: jsonContent(toSchema(body.schema), { event: body.example }),
    },
    responses: Object.fromEntries(responses),
  };
}

const PAGE: Content = { 'text/html': { schema: { type: 'string' } } };
const TEXT: Content = { 'text/plain': { schema: { type: 'string' } } };
const ANYTHING: Content = { 'application/octet-stream': { schema: {} } };
const OF_ANY_TYPE: Content = { '*/*': { schema: {} } };

/** A form has an object as JSON text. */
function formContent(type: z.ZodObject, toSchema: Converter): Content {
  const objects = Object.keys(type.shape).filter((name) => '$ref' in toSchema(type.shape[name]));
  const encoding = Object.fromEntries(objects.map((name) => [name, { contentType: 'application/json' }]));
  const content = { schema: toSchema(type), ...(objects.length > 0 && { encoding }) };
  return Object.fromEntries(FORM_TYPES.map((form) => [form, content]));
}

function jsonContent(schema: Schema, examples: Schema): Content {
  return { 'application/json': { schema, examples: mapValues(examples, (value) => ({ value })) } };
}

function describeParameters(place: string, shape: Operation['headers'] = {}, toSchema: Converter): Schema[] {
  return Object.entries(shape).map(([name, type]) => {
    const { description, example, ...schema } = toSchema(type);
    const required = place === 'path' || isRequired(type);
    return { name, in: place, required, description, schema, ...(example !== undefined && { example }) };
  });
}

function describeHeaders(shape: NonNullable<Operation['headers']>, toSchema: Converter): Record<string, Schema> {
  return mapValues(shape, (type) => {
    const { description, ...schema } = toSchema(type);
    return { description, required: isRequired(type), schema };
  });
}

function isRequired(type: z.ZodType): boolean {
  return !type.safeParse(undefined).success;
}

function describeAnswer({ answer, isPageToo, asText, links }: Operation, toSchema: Converter): Answer {
  const { description, schema, example, textType } = answer;
  const content = {
    ...(schema && jsonContent(toSchema(schema), { answer: example })),
    ...(textType && { [textType]: { schema: { type: 'string' } } }),
    ...(isPageToo && PAGE),
    ...(asText && { 'text/plain': { schema: { type: 'string', description: asText } } }),
  };
  return {
    description,
    headers: REQUEST_ID,
    ...(Object.keys(content).length > 0 && { content }),
    ...(links && {
      links: mapValues(links, ([operationId, member]) => ({
        operationId,
        parameters: { key: `$response.body#/${member}` },
      })),
    }),
  };
}

/** The operation's own errors by status, and references to those that any request can get. */
function describeErrorAnswers(operation: Operation, toSchema: Converter): DescribedOperation['responses'] {
  const { method, body, security, errors, errorMembers = {}, isPageToo, asText } = operation;
  const isChange = method !== 'GET';
  const takesCookies = security?.includes('sessionCookie') === true;
  const ofMethod = isChange ? (['FOREIGN_ORIGIN'] as const) : [];
  const ofCookies = takesCookies ? (['HTTPS_REQUIRED', ...(isChange ? (['CSRF_FAILED'] as const) : [])] as const) : [];
  const codes = ['INVALID_REQUEST', ...ofMethod, ...ofCookies, ...(body ? BODY_ERRORS : []), ...errors] as const;
  const byStatus = Map.groupBy(codes, (code) => ERRORS[code].status);
  const own = [...byStatus].map(([status, codes]): [number, Answer] => {
    const answer = describeErrors(codes, errorMembers, toSchema);
    const isPage = isPageToo && codes.some((code) => errors.includes(code));
    return [status, { ...answer, content: { ...answer.content, ...(isPage && PAGE), ...(asText && TEXT) } }];
  });
  const shared = Object.entries(ANY_REQUEST).map(
    ([name, code]) => [ERRORS[code].status, { $ref: `#/components/responses/${name}` }] as const,
  );
  return Object.fromEntries([...own, ...shared]);
}

/** The answer of all codes with one status. */
function describeErrors(
  codes: readonly ErrorCode[],
  members: NonNullable<Operation['errorMembers']>,
  toSchema: Converter,
): Answer {
  const described = codes.map((code) => ({ code, members: mapValues(members[code] ?? {}, toSchema) }));
  const added: Record<string, Schema> = Object.assign({}, ...described.map(({ members }) => members));
  const examples = described.map(({ code, members }) => [
    code,
    {
      Error: ERRORS[code].title,
      code,
      ...mapValues(members, ({ example }) => example),
      request_id: EXAMPLE_REQUEST_ID,
    },
  ]);
  const properties = { code: { enum: codes }, ...mapValues(added, ({ example, ...schema }) => schema) };
  const schema = { allOf: [toSchema(ErrorBody), { type: 'object', properties }] };
  return {
    description: codes.map((code) => `\`${code}\`: ${ERRORS[code].title}.`).join(' '),
    headers: { ...REQUEST_ID, ...HEADERS_OF_STATUS[ERRORS[codes[0] as ErrorCode].status] },
    content: jsonContent(schema, Object.fromEntries(examples)),
  };
}

function mapValues<T, U>(values: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]));
}

import { ERRORS, type ErrorCode, PROXY_CODES, PUBLIC_CODES } from '../errors.ts';

/** JSON Schema 2020-12, the dialect of OpenAPI 3.1. */
export type Schema = Readonly<Record<string, unknown>>;
type Content = Readonly<Record<string, { schema: Schema; examples?: Schema }>>;
export type Answer = {
  description: string;
  headers: Readonly<Record<string, Schema>>;
  content?: Content;
  /** What can be asked next with what this answer holds. */
  links?: Schema;
};
export type Operation = {
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
export type PathItem = Readonly<Record<string, Operation>>;

/** What one part of the service adds to the document. */
export type ApiPart = {
  tag: { name: string; description: string };
  paths: Readonly<Record<string, PathItem>>;
  /** Requests that it sends by itself, by the names of their events. */
  webhooks?: Readonly<Record<string, PathItem>>;
  schemas: Readonly<Record<string, Schema>>;
};

const EXAMPLE_REQUEST_ID = '3f6c1f0e-7a52-4c39-9a55-0d6f3c1e8b21';
const REQUEST_ID = { 'x-request-id': { $ref: '#/components/headers/RequestId' } };
const RETRY_AFTER = { 'retry-after': { $ref: '#/components/headers/RetryAfter' } };

/** What comes with a status, whatever the code. */
const HEADERS_OF_STATUS: Readonly<Record<number, Readonly<Record<string, Schema>>>> = {
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
  HeadersTooLarge: 'HEADERS_TOO_LARGE',
  InternalError: 'INTERNAL',
};

/** What requests get that meet no operation. */
const NO_OPERATION: Readonly<Record<string, ErrorCode>> = {
  NotFound: 'NOT_FOUND',
  MethodNotAllowed: 'METHOD_NOT_ALLOWED',
};

export const SHARED_HEADERS: Readonly<Record<string, Schema>> = {
  RequestId: {
    description: 'Names this request in the log; errors repeat it in their body.',
    required: true,
    schema: { type: 'string', format: 'uuid' },
  },
  RetryAfter: {
    description: 'Seconds to wait before trying again.',
    required: true,
    schema: { type: 'integer', minimum: 1 },
  },
  Allow: {
    description: 'The methods that this path takes.',
    required: true,
    schema: { type: 'string', examples: ['HEAD, GET, POST, OPTIONS'] },
  },
  ProxyAuthenticate: { description: 'How to authenticate.', required: true, schema: { const: 'Bearer' } },
  WwwAuthenticate: { description: 'How to authenticate.', required: true, schema: { const: 'Bearer' } },
};

export const SHARED_SCHEMAS: Readonly<Record<string, Schema>> = {
  Error: {
    type: 'object',
    description: 'The one shape of every error.',
    required: ['Error', 'code', 'request_id'],
    properties: {
      Error: { type: 'string', description: 'A sentence for people. It may change, and never repeats what was sent.' },
      code: {
        enum: [...PUBLIC_CODES, ...Object.keys(PROXY_CODES)],
        description: `For programs. Once released, a code keeps its meaning. Only nginx in front answers with ${describeProxyCodes()}.`,
      },
      request_id: { type: 'string', format: 'uuid', description: 'As in the header `x-request-id`.' },
    },
  },
};

export const SHARED_RESPONSES: Readonly<Record<string, Answer>> = Object.fromEntries(
  Object.entries({ ...ANY_REQUEST, ...NO_OPERATION }).map(([name, code]) => [name, errorAnswer([code], {})]),
);

type ErrorOptions = {
  /** Codes that a browser (`Accept: text/html`) gets as a page. */
  asPage?: readonly ErrorCode[];
  /** Members that a code adds to its body, each with an example. */
  members?: Readonly<Partial<Record<ErrorCode, Readonly<Record<string, { schema: Schema; example: unknown }>>>>>;
};

/** The error answers of an operation: its own, put together by status, and those that any request can get. */
export function errorAnswers(codes: readonly ErrorCode[], options: ErrorOptions = {}): Operation['responses'] {
  const byStatus = Map.groupBy(['INVALID_REQUEST', ...codes] as const, (code) => ERRORS[code].status);
  const own = [...byStatus].map(([status, group]) => [status, errorAnswer(group, options)] as const);
  const shared = Object.entries(ANY_REQUEST).map(
    ([name, code]) => [ERRORS[code].status, { $ref: `#/components/responses/${name}` }] as const,
  );
  return Object.fromEntries([...own, ...shared]);
}

/** One status with all codes it stands for. */
function errorAnswer(codes: readonly ErrorCode[], { members = {}, asPage = [] }: ErrorOptions): Answer {
  const [status] = codes.map((code) => ERRORS[code].status);
  const added = codes.flatMap((code) => Object.entries(members[code] ?? {}));
  const properties = { code: { enum: codes }, ...mapValues(added, ({ schema }) => schema) };
  const exampleOf = (code: ErrorCode): Schema => ({
    Error: ERRORS[code].title,
    code,
    ...mapValues(Object.entries(members[code] ?? {}), ({ example }) => example),
    request_id: EXAMPLE_REQUEST_ID,
  });
  const answer = {
    description: codes.map((code) => `\`${code}\`: ${ERRORS[code].title}.`).join(' '),
    headers: { ...REQUEST_ID, ...HEADERS_OF_STATUS[status ?? 0] },
    content: {
      'application/json': {
        schema: { allOf: [{ $ref: '#/components/schemas/Error' }, { type: 'object', properties }] },
        examples: Object.fromEntries(codes.map((code) => [code, { value: exampleOf(code) }])),
      },
    },
  };
  return codes.some((code) => asPage.includes(code)) ? orPage(answer) : answer;
}

function mapValues<T>(entries: readonly (readonly [string, T])[], map: (value: T) => unknown): Schema {
  return Object.fromEntries(entries.map(([name, value]) => [name, map(value)]));
}

/** An answer of the schema of this name. */
export function jsonAnswer(description: string, schemaName: string, example: unknown): Answer {
  const schema = { $ref: `#/components/schemas/${schemaName}` };
  return {
    description,
    headers: REQUEST_ID,
    content: { 'application/json': { schema, examples: { answer: { value: example } } } },
  };
}

/** A page, or an asset of one. */
export function textAnswer(description: string, type: string): Answer {
  return { description, headers: REQUEST_ID, content: { [type]: { schema: { type: 'string' } } } };
}

export function emptyAnswer(description: string): Answer {
  return { description, headers: REQUEST_ID };
}

/** The same answer, which a browser (`Accept: text/html`) gets as a page. */
export function orPage(answer: Answer): Answer {
  return { ...answer, content: { ...answer.content, 'text/html': { schema: { type: 'string' } } } };
}

function describeProxyCodes(): string {
  return Object.entries(PROXY_CODES)
    .map(([code, status]) => `\`${code}\` (${status})`)
    .join(', ');
}

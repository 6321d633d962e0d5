import {
  type ApiPart,
  emptyAnswer,
  errorAnswers,
  jsonAnswer,
  type Operation,
  orPage,
  type Schema,
} from '../http/openapi.ts';
import { TRY_BURST, TRY_REFILL_MS } from './budget.ts';
import { IDEMPOTENCY_KEY, NOTIFY_MAX_LENGTH, PHRASE_MAX_BYTES, type SecretLimits } from './routes.ts';
import { MAX_READS, REREAD_MS } from './secrets.ts';
import { RECEIPT_MS } from './store.ts';

const HOUR_SECONDS = 3600;
const DAY_SECONDS = 24 * HOUR_SECONDS;
const REREAD_SECONDS = REREAD_MS / 1000;
const RECEIPT_DAYS = RECEIPT_MS / 1000 / DAY_SECONDS;
const REFILL_HOURS = TRY_REFILL_MS / 1000 / HOUR_SECONDS;

const CREATED_AT = '2026-11-21T00:00:00.000Z';
const EXPIRES_AT = '2026-11-24T04:05:00.000Z';
const SECRET_KEY = 'awUM7NPCPrt1t6HnvLS644X6szXOo18S9n5ChXlDiN4IZkao';
const WEBHOOK_SECRET = `whsec_${Buffer.alloc(64, 'an example, not a secret').toString('base64')}`;
const RECEIPT_KEY = 'receipt_awUM7ESVWhZnsrN7P4_8tEMnmaIiFiGQJJqEo4_eieUo_waEg6LBygp44DYB1Wi-';

/** The paths of one-time secrets, with the limits of this server. */
export function describeSecrets(limits: SecretLimits, needsToken: boolean): ApiPart {
  return {
    tag: { name: 'secrets', description: 'Stored once, handed over once.' },
    paths: {
      '/generate': { post: createSecret(needsToken) },
      '/secrets/{key}': { get: lookAtSecret, post: readSecret },
      '/receipts/{key}': { get: getReceipt, delete: burnSecret },
    },
    schemas: { ...inputSchemas(limits), ...answerSchemas },
  };
}

const createSecret = (needsToken: boolean): Operation => ({
  operationId: 'createSecret',
  tags: ['secrets'],
  summary: 'Store a secret',
  description: [
    'Answered once the secret is durable. If the answer is lost, send it again: a secret whose key nobody has stays unread until it expires.',
    'A server may limit what one client (an IPv4 address, or an IPv6 /64) creates in a minute (`RATE_LIMITED`), and how many secrets of it wait and how many bytes they take (`QUOTA_EXCEEDED`). What is not valid or not authorised costs nothing of it; a secret that is read, burned or expired gives its share back. `STORAGE_FULL` means that all clients together have filled the server.',
  ].join('\n\n'),
  security: needsToken ? [{ createToken: [] }] : [{}, { createToken: [] }],
  requestBody: jsonBody('NewSecret', true, {
    least: { secret: 'some secret' },
    most: { secret: 'some secret', phrase: 'some phrase', ttl: { days: 3, hours: 4, minutes: 5 }, receipt: true },
    notified: { secret: 'some secret', notify: 'https://hooks.example/hushbox' },
  }),
  responses: {
    201: {
      ...jsonAnswer('The secret is stored.', 'CreatedSecret', {
        secret_key: SECRET_KEY,
        expires_at: EXPIRES_AT,
        receipt_key: RECEIPT_KEY,
        webhook_secret: WEBHOOK_SECRET,
      }),
      links: {
        look: linkTo('lookAtSecret', 'secret_key'),
        read: linkTo('readSecret', 'secret_key'),
        receipt: linkTo('getReceipt', 'receipt_key'),
        burn: linkTo('burnSecret', 'receipt_key'),
      },
    },
    ...errorAnswers([
      'UNAUTHORIZED',
      'NOTIFY_FORBIDDEN',
      'DESTINATION_FORBIDDEN',
      'TOO_LARGE',
      'UNSUPPORTED_ENCODING',
      'RATE_LIMITED',
      'QUOTA_EXCEEDED',
      'BUSY',
      'DESTINATION_BUSY',
      'STORAGE_UNAVAILABLE',
      'STORAGE_FULL',
    ]),
  },
});

const secretKey = keyParameter('48 base64url characters: the second of expiry, then 256 random bits.', SECRET_KEY);

const lookAtSecret: Operation = {
  operationId: 'lookAtSecret',
  tags: ['secrets'],
  summary: 'Ask whether a secret is waiting',
  description:
    'Never reads it; nor do HEAD and OPTIONS. A browser (`Accept: text/html`) gets the page that asks before it reads. 404 is the answer for a key that is unknown, malformed, expired, read or burned: alike.',
  parameters: [secretKey],
  responses: {
    ...errorAnswers(['KEY_NOT_FOUND', 'STORAGE_UNAVAILABLE'], { asPage: ['KEY_NOT_FOUND', 'STORAGE_UNAVAILABLE'] }),
    200: orPage(jsonAnswer('The secret is waiting.', 'WaitingSecret', { phrase: true, expires_at: EXPIRES_AT })),
  },
};

const readSecret: Operation = {
  operationId: 'readSecret',
  tags: ['secrets'],
  summary: 'Read a secret: the one and only time',
  description: [
    'Of any number of readers one gets it. That it is read is durable before the answer is sent.',
    `Without \`Idempotency-Key\` a lost answer is a lost secret. With it, the same key, header and phrase get the same answer again: at most ${MAX_READS} times in all, for ${REREAD_SECONDS} s after the first, also past \`expires_at\`; everybody else gets 404.`,
    `A wrong phrase leaves the secret where it is and costs one of ${TRY_BURST} tries, of which one grows back every ${REFILL_HOURS === 1 ? 'hour' : `${REFILL_HOURS} hours`}. No phrase where one is needed costs none; one that is not needed is ignored; an empty one counts as none.`,
    'A 503 never uses a secret up, with one exception: `STORAGE_UNAVAILABLE` can mean that the storage went away in the very step, and the secret may then be read. With the header, the same request finds out.',
  ].join('\n\n'),
  parameters: [
    secretKey,
    {
      name: 'Idempotency-Key',
      in: 'header',
      required: false,
      description:
        'Makes the read safe to repeat. Made for this one read out of at least 128 random bits, for example `openssl rand -hex 16`: who knows it and the secret key can read along.',
      schema: { type: 'string', minLength: 22, maxLength: 128, pattern: IDEMPOTENCY_KEY.source },
      example: 'e13f0c3a9b6d4f7c8a52d0917be4c6f8',
    },
  ],
  requestBody: jsonBody('Reading', false, { without: {}, with: { phrase: 'some phrase' } }),
  responses: {
    200: jsonAnswer('The secret, byte for byte as it was given.', 'Secret', { secret: 'some secret' }),
    ...errorAnswers(
      [
        'PHRASE_REQUIRED',
        'WRONG_PHRASE',
        'KEY_NOT_FOUND',
        'TOO_LARGE',
        'UNSUPPORTED_ENCODING',
        'TOO_MANY_TRIES',
        'BUSY',
        'STORAGE_UNAVAILABLE',
        'MASTER_KEY_UNAVAILABLE',
      ],
      {
        members: {
          WRONG_PHRASE: {
            tries_left: {
              schema: { type: 'integer', minimum: 0, description: '`WRONG_PHRASE` alone: tries left now.' },
              example: TRY_BURST - 1,
            },
          },
        },
      },
    ),
  },
};

const receiptKey = keyParameter(
  '`receipt_` and 64 base64url characters. It tells what became of a secret, and can never read it.',
  RECEIPT_KEY,
);

const getReceipt: Operation = {
  operationId: 'getReceipt',
  tags: ['secrets'],
  summary: 'Ask what became of a secret',
  description: `A receipt outlives its secret by ${RECEIPT_DAYS} days, then it is 404. So it is where nobody can tell, since the database was put back to an older state, whether the secret was read.`,
  parameters: [receiptKey],
  responses: {
    200: jsonAnswer('What became of the secret.', 'Receipt', {
      state: 'read',
      created_at: CREATED_AT,
      expires_at: EXPIRES_AT,
      ended_at: '2026-11-21T09:30:00.000Z',
      wrong_tries: 1,
      reads: 1,
    }),
    ...errorAnswers(['KEY_NOT_FOUND', 'STORAGE_UNAVAILABLE']),
  },
};

const burnSecret: Operation = {
  operationId: 'burnSecret',
  tags: ['secrets'],
  summary: 'Burn a waiting secret',
  description:
    'Nobody can read it from then on. 409 means that it was read, burned or expired before; a copy kept for a repeated read is removed all the same.',
  parameters: [receiptKey],
  responses: {
    204: emptyAnswer('The secret was waiting, and is burned.'),
    ...errorAnswers(['KEY_NOT_FOUND', 'NOT_WAITING', 'STORAGE_UNAVAILABLE']),
  },
};

function inputSchemas({ secretMaxBytes, ttlMaxSeconds }: SecretLimits): ApiPart['schemas'] {
  const wholeNumber = (unitSeconds: number): Schema => ({
    type: 'integer',
    minimum: 0,
    maximum: Math.floor(ttlMaxSeconds / unitSeconds),
  });
  const phrase = `At most ${PHRASE_MAX_BYTES} bytes of UTF-8; compared after Unicode normalisation (NFC).`;
  return {
    NewSecret: {
      type: 'object',
      additionalProperties: false,
      required: ['secret'],
      properties: {
        secret: {
          type: 'string',
          minLength: 1,
          maxLength: secretMaxBytes,
          description: `At most ${secretMaxBytes} bytes of UTF-8, without lone surrogates. Longer is 413.`,
        },
        phrase: {
          type: 'string',
          minLength: 1,
          maxLength: PHRASE_MAX_BYTES,
          description: `Who reads the secret must know it. ${phrase}`,
        },
        ttl: { $ref: '#/components/schemas/Lifetime' },
        receipt: { type: 'boolean', default: false, description: 'Whether to answer with a `receipt_key` too.' },
        notify: {
          type: 'string',
          format: 'uri',
          maxLength: NOTIFY_MAX_LENGTH,
          description:
            'https URL that is told of its end: see the webhooks `secret.read`, `secret.burned` and `secret.expired`. Plain http and special addresses (`DESTINATION_FORBIDDEN`) only where the server lists them. A server for production takes it only where creating needs a token (`NOTIFY_FORBIDDEN`).',
        },
      },
    },
    Lifetime: {
      type: 'object',
      additionalProperties: false,
      minProperties: 1,
      description: `Any of the three; their sum is at least one minute and at most ${ttlMaxSeconds} seconds, which is also what a secret lives that names none.`,
      properties: {
        days: wholeNumber(DAY_SECONDS),
        hours: wholeNumber(HOUR_SECONDS),
        minutes: wholeNumber(60),
      },
    },
    Reading: {
      type: 'object',
      additionalProperties: false,
      properties: { phrase: { type: 'string', maxLength: PHRASE_MAX_BYTES, description: phrase } },
    },
  };
}

const instant = (description: string): Schema => ({ type: 'string', format: 'date-time', description });

const answerSchemas: ApiPart['schemas'] = {
  CreatedSecret: {
    type: 'object',
    required: ['secret_key', 'expires_at'],
    properties: {
      secret_key: { type: 'string', pattern: '^[A-Za-z0-9_-]{48}$', description: 'Kept by nobody but who gets it.' },
      expires_at: instant('From this instant on it is gone.'),
      receipt_key: {
        type: 'string',
        pattern: '^receipt_[A-Za-z0-9_-]{64}$',
        description: 'Only where `receipt` was true.',
      },
      webhook_secret: {
        type: 'string',
        pattern: '^whsec_[A-Za-z0-9+/]{86}==$',
        description: 'Only with `notify`: 64 bytes, by which its receiver knows that an event is from here.',
      },
    },
  },
  WaitingSecret: {
    type: 'object',
    required: ['phrase', 'expires_at'],
    properties: {
      phrase: { type: 'boolean', description: 'Whether a phrase is needed.' },
      expires_at: instant('From this instant on it is gone.'),
    },
  },
  Secret: { type: 'object', required: ['secret'], properties: { secret: { type: 'string' } } },
  Receipt: {
    type: 'object',
    required: ['state', 'created_at', 'expires_at', 'wrong_tries', 'reads'],
    properties: {
      state: { enum: ['waiting', 'read', 'burned', 'expired'] },
      created_at: instant('When it was stored.'),
      expires_at: instant('When it expires, or would have.'),
      ended_at: instant('When it stopped waiting; absent while it waits.'),
      wrong_tries: { type: 'integer', minimum: 0, description: 'Wrong phrases so far; one being checked counts too.' },
      reads: { type: 'integer', minimum: 0, maximum: MAX_READS, description: 'How often it was handed over.' },
    },
  },
};

function linkTo(operationId: string, member: string): Schema {
  return { operationId, parameters: { key: `$response.body#/${member}` } };
}

function keyParameter(description: string, example: string): Schema {
  return { name: 'key', in: 'path', required: true, description, schema: { type: 'string' }, example };
}

function jsonBody(
  schemaName: string,
  required: boolean,
  examples: Readonly<Record<string, unknown>>,
): NonNullable<Operation['requestBody']> {
  return {
    required,
    description: 'A JSON object in UTF-8, whatever the content type says. An empty body is `{}`.',
    content: {
      'application/json': {
        schema: { $ref: `#/components/schemas/${schemaName}` },
        examples: Object.fromEntries(Object.entries(examples).map(([name, value]) => [name, { value }])),
      },
    },
  };
}

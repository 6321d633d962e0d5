import { z } from 'zod';
import type { ApiPart } from '../http/openapi.ts';
import { instant, json, operation, SESSION } from '../http/operation.ts';
import { isBlank, isDate, lengthOf, NAME_MAX_LENGTH, PAGE_MAX } from './customers.ts';

const BODY_MAX_BYTES = 16_384;
const EXAMPLE = {
  id: '01a2b3c4d5e6f708192a3b4c5d6e7f80',
  name: 'Роман Романов',
  dob: '1999-12-31',
  updated_at: '2026-11-21T00:00:00.000Z',
};

const text = z.string({ error: 'must be text' });

const Name = text
  .refine((name) => name.isWellFormed(), { error: 'must not hold lone surrogates' })
  .refine((name) => lengthOf(name) <= NAME_MAX_LENGTH, { error: `must be at most ${NAME_MAX_LENGTH} characters long` })
  .refine((name) => !isBlank(name), { error: 'must not be blank' })
  .meta({
    description: `Up to ${NAME_MAX_LENGTH} characters of any script, kept as they are.`,
    minLength: 1,
    maxLength: NAME_MAX_LENGTH,
  });

const Dob = text
  .refine(isDate, { error: 'must be a date of the calendar, such as 1999-12-31' })
  .meta({ format: 'date', description: 'The date of birth, without a time zone. Not later than today in UTC.' });

const Id = z
  .string({ error: 'must be text, once' })
  .refine((id) => id.isWellFormed(), { error: 'must not hold lone surrogates' })
  .meta({ description: 'Opaque.', example: EXAMPLE.id });

const Customer = z
  .object({ id: z.string(), name: z.string(), dob: z.string().meta({ format: 'date' }), updated_at: instant('') })
  .meta({ id: 'Customer' });

const NO_COUNT = { error: `must be a whole number from 1 to ${PAGE_MAX}` } as const;
/** A whole number in a query. */
const count = z
  .string(NO_COUNT)
  .transform((digits) => (/^[1-9]\d{0,3}$/.test(digits) ? Number(digits) : Number.NaN))
  .refine((value) => value <= PAGE_MAX, NO_COUNT);
const COUNT = { type: 'integer', minimum: 1, maximum: PAGE_MAX } as const;

const CALLER_ERRORS = ['UNAUTHORIZED', 'REPLAY_DETECTED', 'RATE_LIMITED', 'AUTH_UNAVAILABLE'] as const;
const CUSTOMER_ERRORS = [...CALLER_ERRORS, 'STORAGE_UNAVAILABLE'] as const;

export const getData = operation('getData', 'GET', '/data', {
  summary: 'Data for those who are logged in',
  description: 'What is known of the caller. Asking keeps the session alive, as every use of a token does.',
  security: SESSION,
  answer: json(
    200,
    'The data.',
    z.object({ data: z.object({ email: z.string(), role: z.enum(['admin', 'member']) }) }).meta({ id: 'Data' }),
    { data: { email: 'demo@example.com', role: 'member' } },
  ),
  errors: CALLER_ERRORS,
});

export const listCustomers = operation('listCustomers', 'GET', '/customers', {
  summary: 'List customers',
  description: [
    `With \`numbers\`, that many of the youngest customers, the youngest first. Without it all of them, in the order of their creation, at most ${PAGE_MAX} in one answer: if there are more, the header \`Link\` has the address of the next page as \`rel="next"\` (RFC 8288).`,
    'Limit of the routes of customers: 300 requests a minute in one session.',
  ].join('\n\n'),
  security: SESSION,
  query: z
    .strictObject({
      numbers: count.meta({ ...COUNT, description: 'How many of the youngest.' }).optional(),
      limit: count.meta({ ...COUNT, description: 'The most that one page has.' }).optional(),
      after: text.meta({ description: 'The id before the first one: from `next`.', example: EXAMPLE.id }).optional(),
    })
    .refine(({ numbers, limit, after }) => numbers === undefined || (limit === undefined && after === undefined), {
      error: 'must come without limit and after',
      path: ['numbers'],
    }),
  answer: json(200, 'The customers.', z.array(Customer).max(PAGE_MAX).meta({ id: 'Customers' }), [EXAMPLE]),
  errors: CUSTOMER_ERRORS,
});

export const createCustomer = operation('createCustomer', 'POST', '/customers/create', {
  summary: 'Create a customer',
  security: SESSION,
  body: {
    schema: z.strictObject({ name: Name, dob: Dob }).meta({ id: 'NewCustomer' }),
    limitBytes: BODY_MAX_BYTES,
    examples: { customer: { name: EXAMPLE.name, dob: EXAMPLE.dob } },
  },
  answer: json(201, 'The customer.', Customer, EXAMPLE),
  errors: [...CUSTOMER_ERRORS, 'STORAGE_FULL'],
});

export const updateCustomer = operation('updateCustomer', 'POST', '/customers/update', {
  summary: 'Change a customer',
  description: 'What is not given stays as it is.',
  security: SESSION,
  body: {
    schema: z.strictObject({ id: Id, name: Name.optional(), dob: Dob.optional() }).meta({ id: 'CustomerChanges' }),
    limitBytes: BODY_MAX_BYTES,
    examples: { dob: { id: EXAMPLE.id, dob: '2000-01-01' } },
  },
  answer: json(200, 'The customer as it is now.', Customer, EXAMPLE),
  errors: [...CUSTOMER_ERRORS, 'UNKNOWN_ID', 'STORAGE_FULL'],
});

export const deleteCustomer = operation('deleteCustomer', 'DELETE', '/customers/delete', {
  summary: 'Delete a customer',
  security: SESSION,
  query: z.strictObject({ id: Id }),
  answer: { status: 204, description: 'The customer is gone.' },
  errors: [...CUSTOMER_ERRORS, 'UNKNOWN_ID'],
});

export const businessApi: ApiPart = {
  tag: {
    name: 'business',
    description: 'Data and customers, for those who are logged in. This service knows no tokens: it asks about them.',
  },
  operations: [getData, listCustomers, createCustomer, updateCustomer, deleteCustomer],
};

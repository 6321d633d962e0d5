import { z } from 'zod';
import type { ApiPart } from '../../http/openapi.ts';
import { json, operation, SESSION } from '../../http/operation.ts';
import { FORM_MAX_BYTES } from '../sessions/browser-operations.ts';
import { Text, UNAUTHORISED } from '../sessions/operations.ts';
import { PASSWORD_MAX, PASSWORD_MIN } from './password.ts';
import { isDateOrInstant, isShort, PROFILE_TEXT_MAX } from './profile.ts';

const EXAMPLE_PROFILE = {
  type: 'worker',
  first_name: 'Роман',
  last_name: 'Романов',
  birth_date: '2000-08-25T12:00:00+03:00',
  sex: 'male',
} as const;
const EMAIL = 'some@email.ee';
const PASSWORD = 'ghbdtn007';
const TOKEN = `hushbox_link_${'an-example-not-a-token'.padEnd(43, '0')}`;

const ShortText = Text.refine(isShort, { error: `must be at most ${PROFILE_TEXT_MAX} characters long` }).meta({
  maxLength: PROFILE_TEXT_MAX,
});
const BirthDate = Text.refine(isDateOrInstant, {
  error: 'must be a date, such as 2000-08-25, or one with a time and its zone, such as 2000-08-25T12:00:00+03:00',
}).meta({ anyOf: [{ format: 'date' }, { format: 'date-time' }] });

const NO_OBJECT: z.core.$ZodErrorMap = ({ code }) =>
  code === 'invalid_type' ? 'must be an object, or JSON text of one' : undefined;

const MEMBERS = {
  type: ShortText.optional(),
  first_name: ShortText.optional(),
  last_name: ShortText.optional(),
  birth_date: BirthDate.optional(),
  sex: ShortText.optional(),
};

const Profile = z
  .strictObject(MEMBERS, { error: NO_OBJECT })
  .meta({ id: 'Profile', description: 'Everything is optional, and kept as it was written.' });

const ProfileChanges = z
  .strictObject(
    {
      type: MEMBERS.type.nullable(),
      first_name: MEMBERS.first_name.nullable(),
      last_name: MEMBERS.last_name.nullable(),
      birth_date: MEMBERS.birth_date.nullable(),
      sex: MEMBERS.sex.nullable(),
    },
    { error: NO_OBJECT },
  )
  .meta({ id: 'ProfileChanges', description: 'Members that are given replace those of before; null removes one.' });

/** A form sends an object as JSON text. What is no JSON stays text, which is no object. */
function fromJsonText(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

const NewPassword = Text.meta({
  minLength: PASSWORD_MIN,
  maxLength: PASSWORD_MAX,
  description: 'None of the most common ones.',
});
const Address = Text.meta({ format: 'email' });
const Current = Text.describe('The password of now.');
const Token = Text.describe('From the link in a mail.');
const Email = z.object({ email: z.string() }).meta({ id: 'AccountAddress' });
const Accepted = z.object({ message: z.string() }).meta({ id: 'Accepted' });
export const MAY_COME = { message: 'If this is possible for this address, a mail is on its way' } as const;

const ONE_LINK = 'The link in the mail works once, within 24 hours.';
const SAME_ANSWER =
  'The answer is the same, after the same time, whatever is known of the address. An address gets 3 mails an hour and 10 a day at most; after that the answer stays the same.';

function form<Schema extends z.ZodObject>(schema: Schema, example: z.input<Schema>) {
  return { schema, limitBytes: FORM_MAX_BYTES, examples: { example }, isFormToo: true } as const;
}

export const register = operation('register', 'POST', '/api/v1/register', {
  summary: 'Register an address',
  description: `Sends a link that creates the account to the address: before it is used there is none. ${ONE_LINK} Each registration stands alone, with its password and its profile; the first link that is used ends the others. An address that has an account gets a mail that says so instead. ${SAME_ANSWER} 100 an hour from one network.`,
  body: form(
    z
      .strictObject({ email: Address, password: NewPassword, profile: z.preprocess(fromJsonText, Profile).optional() })
      .meta({ id: 'Registration' }),
    { email: EMAIL, password: PASSWORD, profile: EXAMPLE_PROFILE },
  ),
  answer: json(201, 'A mail is on its way.', Email, { email: EMAIL }),
  errors: ['REGISTRATION_OFF', 'RATE_LIMITED', 'BUSY', 'STORAGE_UNAVAILABLE', 'STORAGE_FULL'],
});

const ASKING = ['STORAGE_UNAVAILABLE'] as const;
const AddressGiven = z.strictObject({ email: Text }).meta({ id: 'AddressGiven' });

export const resendLink = operation('resendLink', 'POST', '/api/v1/register/resend', {
  summary: 'Send the link of a registration again',
  description: `Another link of the registration of this address that waits, if there is one. If there are several, with different passwords, none is sent: nobody knows whose they are. ${ONE_LINK} ${SAME_ANSWER}`,
  body: form(AddressGiven, { email: EMAIL }),
  answer: json(202, 'A mail is on its way, if a registration waits.', Accepted, MAY_COME),
  errors: ASKING,
});

const TokenQuery = z.object({ token: z.string({ error: 'must be given once' }).optional() });

export const showActivation = operation('showActivation', 'GET', '/api/v1/activate', {
  summary: 'The page of a link that creates an account, or changes an address',
  description: 'Uses nothing up: its button sends the token with POST. It is the same page for every token.',
  query: TokenQuery,
  answer: { status: 200, description: 'The page.', textType: 'text/html' },
  errors: [],
});

export const activate = operation('activate', 'POST', '/api/v1/activate', {
  summary: 'Create an account, or change an address, with the link of a mail',
  description: 'The token may be in the body or in the query. Signs nobody in.',
  query: TokenQuery,
  body: form(z.strictObject({ token: Token.optional() }).meta({ id: 'LinkToken' }), { token: TOKEN }),
  isPageToo: true,
  answer: json(200, 'Done. The address of the account.', Email, { email: EMAIL }),
  errors: ['LINK_GONE', 'RATE_LIMITED', 'STORAGE_UNAVAILABLE', 'STORAGE_FULL'],
});

export const forgetPassword = operation('forgetPassword', 'POST', '/api/v1/password/forgot', {
  summary: 'Ask for a link to set a new password',
  description: `Sends a link to the address, if it has an account. ${ONE_LINK} ${SAME_ANSWER}`,
  body: form(AddressGiven, { email: EMAIL }),
  answer: json(202, 'A mail is on its way, if there is an account.', Accepted, MAY_COME),
  errors: ASKING,
});

export const resetPassword = operation('resetPassword', 'POST', '/api/v1/password/reset', {
  summary: 'Set a new password with the link of a mail',
  description: 'Ends all sessions of the account and all its other links. A mail reports it. Signs nobody in.',
  body: form(z.strictObject({ token: Token, password: NewPassword }).meta({ id: 'PasswordReset' }), {
    token: TOKEN,
    password: PASSWORD,
  }),
  answer: { status: 204, description: 'The password is set.' },
  errors: ['LINK_GONE', 'RATE_LIMITED', 'BUSY', 'STORAGE_UNAVAILABLE', 'STORAGE_FULL'],
});

const Me = z
  .object({ user_id: z.string(), email: z.string(), role: z.enum(['admin', 'member']), profile: Profile })
  .meta({ id: 'Me' });
const EXAMPLE_ME = {
  user_id: 'mJ1cB0x8Qm2n4vT6yKp3sA',
  email: EMAIL,
  role: 'member',
  profile: EXAMPLE_PROFILE,
} as const;

export const getMe = operation('getMe', 'GET', '/api/v1/me', {
  summary: 'The own account',
  security: SESSION,
  answer: json(200, 'The account.', Me, EXAMPLE_ME),
  errors: UNAUTHORISED,
});

export const changeMe = operation('changeMe', 'PATCH', '/api/v1/me', {
  summary: 'Change the own profile',
  description: 'Members that are given replace those of before; null removes one; the others stay.',
  security: SESSION,
  body: form(z.strictObject({ profile: z.preprocess(fromJsonText, ProfileChanges) }).meta({ id: 'MeChanges' }), {
    profile: { first_name: 'Роман', sex: null },
  }),
  answer: json(200, 'The account as it is now.', Me, EXAMPLE_ME),
  errors: [...UNAUTHORISED, 'BUSY', 'STORAGE_FULL'],
});

/** With the password of now, under the limits of log-ins. */
const CONFIRMED = [...UNAUTHORISED, 'INVALID_CREDENTIALS', 'BUSY', 'STORAGE_FULL'] as const;
const SAME_LIMITS = 'The password of now is needed, under the limits of log-ins.';

export const deleteMe = operation('deleteMe', 'DELETE', '/api/v1/me', {
  summary: 'Delete the own account',
  description: `Ends its sessions and links, and clears the cookies. A mail tells of it. ${SAME_LIMITS}`,
  security: SESSION,
  body: form(z.strictObject({ current: Current }).meta({ id: 'Confirmation' }), { current: PASSWORD }),
  answer: { status: 204, description: 'The account is deleted.' },
  errors: CONFIRMED,
});

export const changePassword = operation('changePassword', 'POST', '/api/v1/password/change', {
  summary: 'Change the own password',
  description: `Ends all other sessions, and all links of the account. A mail tells of it. ${SAME_LIMITS}`,
  security: SESSION,
  body: form(z.strictObject({ current: Current, password: NewPassword }).meta({ id: 'PasswordChange' }), {
    current: PASSWORD,
    password: 'correct horse battery',
  }),
  answer: { status: 204, description: 'The password is changed.' },
  errors: CONFIRMED,
});

export const changeEmail = operation('changeEmail', 'POST', '/api/v1/email/change', {
  summary: 'Change the own address',
  description: `Sends a link to the new address; when it is used, the account has that address, and a mail to the old one tells of it. ${ONE_LINK} ${SAME_ANSWER} ${SAME_LIMITS}`,
  security: SESSION,
  body: form(z.strictObject({ current: Current, email: Address }).meta({ id: 'AddressChange' }), {
    current: PASSWORD,
    email: 'another@email.ee',
  }),
  answer: json(202, 'A mail is on its way, if no account has the address.', Accepted, MAY_COME),
  errors: [...CONFIRMED, 'REGISTRATION_OFF', 'MAIL_OFF'],
});

export const accountsApi: ApiPart = {
  tag: { name: 'accounts', description: 'Register, and look after the own account.' },
  operations: [
    ...[register, resendLink, showActivation, activate, forgetPassword, resetPassword],
    ...[getMe, changeMe, deleteMe, changePassword, changeEmail],
  ],
};

import type { Texts } from './text.ts';

const ONCE = 'The link works once, within 24 hours.';
const SAFE = 'If it was not you, ignore this mail: without the link, nothing happens.';
const NOT_YOU =
  'If it was not you, somebody else has access to your account: set a new password with “Forgotten password” on the ' +
  'sign-in page now.';

export const ENGLISH: Texts = (site) => ({
  activate: {
    subject: 'Activate your account',
    before: [`Someone, probably you, registered this address at ${site}. To activate the account, open this link:`],
    after: [ONCE, SAFE],
  },
  already_registered: {
    subject: 'You already have an account',
    before: [
      `Someone, probably you, tried to register this address at ${site}. It already has an account, which did not ` +
        'change. To sign in, or to set a new password, open this link:',
    ],
    after: ['If it was not you, you need not do anything.'],
  },
  reset: {
    subject: 'Set a new password',
    before: [
      `Someone, probably you, forgot the password of your account at ${site}. To set a new one, open this link:`,
    ],
    after: [ONCE, SAFE],
  },
  change_email: {
    subject: 'Confirm your new address',
    before: [
      `Someone, probably you, wants to use this address for an account at ${site}. To confirm it, open this link:`,
    ],
    after: [ONCE, SAFE],
  },
  password_changed: {
    subject: 'Your password was changed',
    before: [`The password of your account at ${site} was changed. All other sessions were ended.`],
    after: [NOT_YOU],
  },
  email_changed: {
    subject: 'The address of your account was changed',
    before: [
      `The address of your account at ${site} was changed. This is the last mail about it to this, the old address.`,
    ],
    after: ['If it was not you, somebody else has access to your account: tell the people who run the service now.'],
  },
  account_deleted: {
    subject: 'Your account was deleted',
    before: [`Your account at ${site} was deleted, and all its sessions were ended.`],
    after: ['If it was not you, tell the people who run the service.'],
  },
});

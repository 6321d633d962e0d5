import { button, field, fillSignIn, heading, link, mailedLink, messageOf, signIn } from './people.ts';
import { AWAY, answering, goOffline, RATE_LIMITED, type Scene, type State } from './scene.ts';
import { SECRET_STATES } from './secret-states.ts';

const SOMEBODY = 'somebody@example.com';
const NEW_EMAIL = 'a.very.long.address.of.somebody.who.has.just.registered@a-long-name-of-a-company.example.com';
const NEW_PASSWORD = 'a password of somebody else';

/** In the order of a person's visit: some states need those before them. */
const STATES: Readonly<Record<string, State>> = {
  ...SECRET_STATES,
  status: ({ page, server }) => page.goto(`${server.base}/status`),
  'no such page': ({ page, server }) => page.goto(`${server.base}/nowhere`),
  'sign in': ({ page, server }) => page.goto(`${server.base}/signin`),
  'sign in: fields are missing': ({ page }) => button(page, 'Sign in').click(),
  async 'sign in: wrong'({ page }) {
    await fillSignIn(page, SOMEBODY, 'a wrong password');
    await page.getByText('The address or the password is wrong').waitFor();
  },
  async 'sign in: the password is shown'({ page }) {
    await button(page, 'Show the password').click();
  },
  'sign in: too many tries': ({ page }) =>
    answering(page, 'api/v1/login/', RATE_LIMITED, async () => {
      await fillSignIn(page, SOMEBODY, NEW_PASSWORD);
      await messageOf(page, /^Too many/);
    }),
  'sign in: the server is away': ({ page }) =>
    answering(page, 'api/v1/login/', AWAY, async () => {
      await fillSignIn(page, SOMEBODY, NEW_PASSWORD);
      await messageOf(page, /^The server/);
    }),
  'sign in: offline': ({ page }) =>
    goOffline(page, async () => {
      await fillSignIn(page, SOMEBODY, NEW_PASSWORD);
      await messageOf(page, /^No answer/);
    }),
  'sign in: under way': ({ page }) =>
    answering(page, 'api/v1/login/', 'never', async () => {
      await fillSignIn(page, SOMEBODY, NEW_PASSWORD);
      await button(page, 'One moment…').waitFor();
    }),
  register: ({ page, server }) => page.goto(`${server.base}/register`),
  async 'register: a common password'({ page }) {
    await field(page, 'Email address').fill(NEW_EMAIL);
    await field(page, 'Password').fill('password1');
    await button(page, 'Register').click();
    await page.getByText('Choose another password').waitFor();
  },
  async 'register: done'({ page }) {
    await field(page, 'Password').fill(NEW_PASSWORD);
    await button(page, 'Register').click();
    await heading(page, 'Look at your mail').waitFor();
  },
  async 'register: sent again'({ page }) {
    await button(page, 'Send it again').click();
    await page.getByText('Sent again').waitFor();
  },
  async activate({ page, server }) {
    await page.goto(await mailedLink(server, 'activate'));
  },
  async 'activate: done'({ page }) {
    await button(page, 'Confirm the address').click();
    await heading(page, 'Your address is confirmed').waitFor();
  },
  async 'activate: used up'({ page, server }) {
    await page.goto(await mailedLink(server, 'activate'));
    await button(page, 'Confirm the address').click();
    await heading(page, 'This link no longer works').waitFor();
  },
  forgotten: ({ page, server }) => page.goto(`${server.base}/forgotten`),
  async 'forgotten: done'({ page }) {
    await field(page, 'Email address').fill(NEW_EMAIL);
    await button(page, 'Send the mail').click();
    await heading(page, 'Look at your mail').waitFor();
  },
  reset: async ({ page, server }) => page.goto(await mailedLink(server, 'reset')),
  async 'reset: too short'({ page }) {
    await field(page, 'New password').fill('short');
    await button(page, 'Save the password').click();
  },
  async 'reset: done'({ page }) {
    await field(page, 'New password').fill(NEW_PASSWORD);
    await button(page, 'Save the password').click();
    await heading(page, 'Your new password is saved').waitFor();
  },
  async 'reset: used up'({ page, server }) {
    await page.goto(await mailedLink(server, 'reset'));
    await field(page, 'New password').fill(NEW_PASSWORD);
    await button(page, 'Save the password').click();
    await heading(page, 'This link no longer works').waitFor();
  },
  'reset: not complete': ({ page, server }) => page.goto(`${server.base}/reset`),
  'account: signed out': ({ page, server }) => page.goto(`${server.base}/account`),
  async account({ page, server }) {
    await signIn(page, server.base, NEW_EMAIL, NEW_PASSWORD);
  },
  async 'account: several sessions'({ page, server }) {
    for (const agent of ['curl/8.14.1', `x${'y'.repeat(200)}`]) {
      await server.post('/login', { username: NEW_EMAIL, password: NEW_PASSWORD }, { 'user-agent': agent });
    }
    await page.reload();
    await button(page, 'End all others').waitFor();
  },
  async 'account: everything open'({ page }) {
    for (const name of ['Change the password', 'Change the address', 'Delete the account']) {
      await page.locator('summary', { hasText: name }).click();
    }
    await button(page, 'Change the password').click();
    await button(page, 'Delete the account').click();
    await field(page, 'New address').fill('no address');
    await button(page, 'Change the address').click();
  },
  async 'account: one session is ended'({ page }) {
    await button(page, 'End this one: curl/8.14.1').click();
    await page.getByText('Ended.').waitFor();
  },
  async 'account: saved'({ page }) {
    await field(page, 'First name').fill('Роман');
    await button(page, 'Save the profile').click();
    await page.getByText('Saved.').waitFor();
  },
  'account: cannot be shown': ({ page }) =>
    answering(page, 'sessions', AWAY, async () => {
      await page.reload();
      await heading(page, 'Your account cannot be shown').waitFor();
    }),
  async 'signed in, elsewhere'({ page, server }) {
    await page.goto(`${server.base}/`);
    await link(page, NEW_EMAIL).waitFor();
  },
  async 'signed in, at the sign-in'({ page, server }) {
    await page.goto(`${server.base}/signin`);
    await heading(page, 'You are signed in').waitFor();
  },
};

/** Goes through every page in every state. What a state answers in place of the server ends with it. */
export async function visitStates(scene: Scene, look: (name: string) => Promise<void>): Promise<void> {
  for (const [name, bring] of Object.entries(STATES)) {
    await bring(scene);
    await scene.page.waitForLoadState(); // a heading is there before the page has its style
    await look(name);
    await scene.page.unrouteAll({ behavior: 'ignoreErrors' });
  }
}

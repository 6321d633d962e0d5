import { EMAIL, PASSWORD } from '../auth/sessions/support.ts';
import { browserTest, openPage } from '../support/browser/browser.ts';
import {
  accountOn,
  button,
  cookieNames,
  errorOf,
  field,
  heading,
  isFocused,
  link,
  mailedLink,
  messageOf,
} from '../support/browser/people.ts';
import { remember } from '../support/process/leaks.ts';
import { fillSignIn, signIn, startScene } from './account-support.ts';

const NEW_EMAIL = 'somebody.new@example.com';
const FIRST_PASSWORD = 'the first password';
const SECOND_PASSWORD = 'the second password';
const THIRD_PASSWORD = 'the third password';
for (const password of [FIRST_PASSWORD, SECOND_PASSWORD, THIRD_PASSWORD]) remember(password);

browserTest('a person registers, activates, signs in, and keeps the account safe', async (t) => {
  const { server, page } = await startScene(t);
  const inBox = page.getByRole('main');

  await page.goto(`${server.base}/signin`);
  await link(page, 'Register').click();
  await field(page, 'Email address').fill(NEW_EMAIL);
  await field(page, 'Password').fill(FIRST_PASSWORD);
  await button(page, 'Register').click();
  await heading(page, 'Look at your mail').waitFor();
  t.true(await page.getByText(NEW_EMAIL).isVisible());
  await button(page, 'Send it again').click();
  await page.getByText('Sent again.').waitFor();

  const activation = await mailedLink(server, 'activate');
  await page.goto(`${server.base}/signin`);
  await fillSignIn(page, NEW_EMAIL, FIRST_PASSWORD);
  await page.getByText('The address or the password is wrong').waitFor();
  await page.goto(activation);
  t.deepEqual(await cookieNames(page), []);
  await inBox.getByRole('button').click();
  await inBox.getByRole('link', { name: 'Sign in' }).click();
  await fillSignIn(page, NEW_EMAIL, FIRST_PASSWORD);
  await accountOn(page).waitFor();
  await page.goto(`${server.base}/`);
  await link(page, NEW_EMAIL).click();

  // Another browser, whose session the change of the password ends.
  const other = await openPage(t, [server.base]);
  await signIn(other, server.base, NEW_EMAIL, FIRST_PASSWORD);
  await page.reload();
  await button(page, 'End all others').waitFor();
  t.is(await page.getByRole('listitem').count(), 2);
  await page.getByText('Change the password').first().click();
  await field(page, 'Current password').first().fill('a wrong password');
  await field(page, 'New password').fill(SECOND_PASSWORD);
  await button(page, 'Change the password').click();
  await page.getByText('The current password is wrong').waitFor();
  t.regex(await errorOf(field(page, 'Current password').first()), /Nothing was changed/);
  await field(page, 'Current password').first().fill(FIRST_PASSWORD);
  await button(page, 'Change the password').click();
  await page.getByText('Changed.').waitFor();
  t.is(await field(page, 'New password').inputValue(), '');
  await button(page, 'End all others').waitFor({ state: 'hidden' });
  await other.reload();
  await heading(other, 'You are signed out').waitFor();

  // And one that is ended by hand.
  await signIn(other, server.base, NEW_EMAIL, SECOND_PASSWORD);
  await page.reload();
  await page.getByRole('button', { name: /^End this one/ }).click();
  await page.getByText('Ended.').waitFor();
  t.is(await page.getByRole('listitem').count(), 1);
  await other.reload();
  await heading(other, 'You are signed out').waitFor();

  await other.goto(`${server.base}/signin`);
  await link(other, 'Forgotten password').click();
  await field(other, 'Email address').fill(NEW_EMAIL);
  await button(other, 'Send the mail').click();
  await heading(other, 'Look at your mail').waitFor();
  await other.goto(await mailedLink(server, 'reset'));
  await field(other, 'New password').fill(THIRD_PASSWORD);
  await button(other, 'Save the password').click();
  await heading(other, 'Your new password is saved').waitFor();
  await page.reload();
  await heading(page, 'You are signed out').waitFor();
  await other.getByRole('main').getByRole('link', { name: 'Sign in' }).click();
  await fillSignIn(other, NEW_EMAIL, THIRD_PASSWORD);
  await button(other, 'Sign out').click();
  await heading(other, 'You are signed out').waitFor();
  t.deepEqual(await cookieNames(other), []);
});

browserTest('the token of a reset leaves the address at once, is in the POST alone, and works once', async (t) => {
  const { server, page } = await startScene(t);
  await page.goto(`${server.base}/forgotten`);
  await field(page, 'Email address').fill(EMAIL);
  await button(page, 'Send the mail').click();
  const address = await mailedLink(server, 'reset');
  const token = new URL(address).searchParams.get('token') ?? '';
  const requests: string[] = [];
  page.on('request', (request) => {
    if (JSON.stringify([request.url(), request.headers(), request.postData()]).includes(token)) {
      requests.push(`${request.method()} ${new URL(request.url()).pathname}`);
    }
  });
  await page.goto(address, { waitUntil: 'networkidle' });
  t.is(page.url(), `${server.base}/reset`);
  t.false((await page.content()).includes(token));
  t.false(
    JSON.stringify(await page.evaluate('[history.state, { ...localStorage }, { ...sessionStorage }]')).includes(token),
  );
  await field(page, 'New password').fill('password1');
  await button(page, 'Save the password').click();
  await page.getByText('Choose another password').waitFor();
  t.true(await isFocused(field(page, 'New password')));
  await page.context().setOffline(true);
  await field(page, 'New password').fill(SECOND_PASSWORD);
  await button(page, 'Save the password').click();
  await messageOf(page, /^No answer/);
  await page.context().setOffline(false);
  await button(page, 'Save the password').click();
  await heading(page, 'Your new password is saved').waitFor();
  t.deepEqual([...new Set(requests)], ['GET /reset', 'POST /api/v1/password/reset/']);

  await page.goto(address);
  await field(page, 'New password').fill(THIRD_PASSWORD);
  await button(page, 'Save the password').click();
  await heading(page, 'This link no longer works').waitFor();
  await page.reload();
  await heading(page, 'This link is not complete').waitFor();
});

browserTest('an address with an account and one without get the same pages', async (t) => {
  const { server, page } = await startScene(t);
  for (const email of [EMAIL, 'nobody@example.com']) {
    await page.goto(`${server.base}/forgotten`);
    await field(page, 'Email address').fill(email);
    await button(page, 'Send the mail').click();
    await heading(page, 'Look at your mail').waitFor();
    await page.goto(`${server.base}/register`);
    await field(page, 'Email address').fill(email);
    await field(page, 'Password').fill(FIRST_PASSWORD);
    await button(page, 'Register').click();
    await heading(page, 'Look at your mail').waitFor();
    await button(page, 'Change the address').click();
    t.is(await field(page, 'Email address').inputValue(), email);
    t.true(await isFocused(field(page, 'Email address')));
  }
  t.truthy(await mailedLink(server, 'already_registered'));
});

browserTest('a profile is changed and kept; a new address counts once its link is opened', async (t) => {
  const { server, page } = await startScene(t);
  await signIn(page, server.base);
  await field(page, 'First name').fill('Роман');
  await page.getByLabel('Date of birth').fill('2000-08-25');
  await button(page, 'Save the profile').click();
  await page.getByText('Saved.').waitFor();
  await page.reload();
  await accountOn(page).waitFor();
  t.is(await field(page, 'First name').inputValue(), 'Роман');
  t.is(await page.getByLabel('Date of birth').inputValue(), '2000-08-25');
  await field(page, 'First name').fill('');
  await button(page, 'Save the profile').click();
  await page.getByText('Saved.').waitFor();
  await page.reload();
  await accountOn(page).waitFor();
  t.is(await field(page, 'First name').inputValue(), '');
  t.is(await page.getByLabel('Date of birth').inputValue(), '2000-08-25');

  await page.getByText('Change the address').first().click();
  await field(page, 'New address').fill(NEW_EMAIL);
  await page.locator('#current-for-email').fill(PASSWORD);
  await button(page, 'Change the address').click();
  await page.getByText(`A mail is on its way to ${NEW_EMAIL}`).waitFor();
  t.is(await page.locator('#address').textContent(), EMAIL);
  await page.goto(await mailedLink(server, 'change_email'));
  await page.getByRole('main').getByRole('button').click();
  await link(page, NEW_EMAIL).or(page.getByRole('main').getByRole('link')).first().waitFor();
  await signIn(await openPage(t, [server.base]), server.base, NEW_EMAIL);
});

browserTest('a page of an account shows whose it is: after a sign-in in another tab it is loaded again', async (t) => {
  const { server, page } = await startScene(t);
  await server.addAccount('other@example.com');
  await signIn(page, server.base);
  const tab = await page.context().newPage();
  await tab.goto(`${server.base}/account`);
  await button(tab, 'Sign out').click();
  await heading(tab, 'You are signed out').waitFor();
  await signIn(tab, server.base, 'other@example.com');
  await page.evaluate("dispatchEvent(new Event('focus'))");
  await page.locator('#address', { hasText: 'other@example.com' }).waitFor();
  t.is(await page.locator('#who-in').textContent(), 'other@example.com');
});

browserTest('an account is deleted with its password, and with it everything that is signed in', async (t) => {
  const { server, page } = await startScene(t);
  await signIn(page, server.base);
  await page.getByText('Delete the account').first().click();
  await page.locator('#current-to-delete').fill('a wrong password');
  await button(page, 'Delete the account').click();
  await page.getByText('The current password is wrong').waitFor();
  await page.locator('#current-to-delete').fill(PASSWORD);
  await button(page, 'Delete the account').click();
  await heading(page, 'Your account is deleted').waitFor();
  await page.getByRole('banner').getByText('Sign in').click();
  await fillSignIn(page);
  await page.getByText('The address or the password is wrong').waitFor();
  t.pass();
});

browserTest('where nobody can register, no page offers it', async (t) => {
  const { server, page } = await startScene(t, { REGISTRATION: 'off' });
  await page.goto(`${server.base}/signin`);
  t.false(await link(page, 'Register').isVisible());
  await page.goto(`${server.base}/register`);
  await page.getByText('Nobody can register here').waitFor();
  t.is(await page.locator('form').count(), 0);
});

browserTest('where only some can register, the others are told beside the field', async (t) => {
  const { server, page } = await startScene(t, { REGISTRATION: 'example.org' });
  await page.goto(`${server.base}/register`);
  await field(page, 'Email address').fill(NEW_EMAIL);
  await field(page, 'Password').fill(FIRST_PASSWORD);
  await button(page, 'Register').click();
  await page.getByText('Nobody can register here with this address').waitFor();
  t.true(await isFocused(field(page, 'Email address')));
});

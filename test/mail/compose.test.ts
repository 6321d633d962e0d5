import test from 'ava';
import { composeMail } from '../../src/mail/compose.ts';
import type { MailKind } from '../../src/mail/mailer.ts';
import { refuseUnfit } from '../../src/mail/outbox.ts';
import { createPrinter } from '../../src/mail/printer.ts';
import { newMailTo, SITE } from './support.ts';

const WITH_LINK: readonly MailKind[] = ['activate', 'already_registered', 'reset', 'change_email'];
const WITHOUT: readonly MailKind[] = ['password_changed', 'email_changed', 'account_deleted'];
const LINK = "https://hushbox.example/a?token=x&y='1'";

for (const language of ['en', 'ru'] as const) {
  for (const kind of [...WITH_LINK, ...WITHOUT]) {
    test(`${language}: ${kind} says what happened, where, and has its link alone on a line`, (t) => {
      const values = WITH_LINK.includes(kind) ? { link: LINK } : {};
      const { subject, text, html } = composeMail({ to: 'a@example.org', kind, language, values }, SITE);
      t.is(/[а-я]/.test(subject + text), language === 'ru');
      t.true(subject.length > 5 && subject.length < 60);
      t.true(text.includes(SITE));
      t.is(text.split('\n').filter((line) => line === LINK).length, WITH_LINK.includes(kind) ? 1 : 0);
      t.true(html.includes(`<html lang="${language}">`));
      t.is(html.includes('href="https://hushbox.example/a?token=x&amp;y=&#39;1&#39;"'), WITH_LINK.includes(kind));
      t.notRegex(html, /<(?:img|script|link|iframe)|src=|url\(/);
    });
  }
}

test('the name of a site is text in HTML', (t) => {
  const { html } = composeMail(newMailTo('a@example.org'), '<b>&');
  t.true(html.includes('&lt;b&gt;&amp;'));
  t.false(html.includes('<b>'));
});

test('only plain addresses, and values without line ends, are let into a mail', (t) => {
  for (const to of [
    ...['a@example.org\r\nBcc: b@example.org', '"a b"@example.org', 'a@example.org, b@example.org', ''],
    ...['<a@example.org>', 'A@example.org', 'a@[127.0.0.1]', 'a@exämple.org', 'a\0@example.org'],
  ]) {
    t.throws(() => refuseUnfit(newMailTo(to)), { instanceOf: TypeError }, JSON.stringify(to));
  }
  for (const link of [
    'https://a.example/\r\nx',
    'javascript:alert(1)',
    'https://a.example/ b',
    'https://ä.example/',
    '',
  ]) {
    t.throws(() => refuseUnfit(newMailTo('a@example.org', { values: { link } })), { instanceOf: TypeError }, link);
  }
  for (const value of ['a\nb', 'a\u2028b\u0000', 'x'.repeat(2_001)]) {
    t.throws(() => refuseUnfit(newMailTo('a@example.org', { values: { name: value } })), { instanceOf: TypeError });
  }
  t.notThrows(() => refuseUnfit(newMailTo("o'hara+x@example.org", { values: { name: '<b>ж' } })));
});

test('without a mail server the link is printed when the mail is let go, and not before', async (t) => {
  const lines: string[] = [];
  const printer = createPrinter((line) => void lines.push(line));
  const mail = newMailTo('anna@example.org');
  const held = await printer.hold(mail);
  await (await printer.hold(newMailTo('other@example.org'))).drop();
  t.deepEqual(lines, []);
  held.release();
  t.deepEqual(lines, [`mail to anna@example.org (activate), not sent without SMTP_URL: ${mail.values.link}`]);
});

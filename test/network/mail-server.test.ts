import test from 'ava';
import { parseMailAddress, parseSmtpUrl } from '../../src/network/mail-server.ts';

test('a mail server is named by a URL, with or without a port and credentials', (t) => {
  const auth = undefined;
  t.deepEqual(parseSmtpUrl('smtp://mail.example.com'), { host: 'mail.example.com', port: 25, isSecure: false, auth });
  t.deepEqual(parseSmtpUrl('SMTPS://mail/'), { host: 'mail', port: 465, isSecure: true, auth });
  t.deepEqual(parseSmtpUrl('smtp://[::1]:2525'), { host: '::1', port: 2525, isSecure: false, auth });
  t.deepEqual(parseSmtpUrl('smtp://me%40example.com:p%3A%2F%20%C3%A4@127.0.0.1:587'), {
    ...{ host: '127.0.0.1', port: 587, isSecure: false },
    auth: { user: 'me@example.com', password: 'p:/ ä' },
  });
});

for (const url of [
  ...['', 'mail.example.com', 'http://mail.example.com', 'smtp://', 'smtp:///', 'smtp://host:0', 'smtp://host:99999'],
  ...['smtp://host/path', 'smtp://host?tls=off', 'smtp://host#x', 'smtp://user@host', 'smtp://:secret@host'],
  ...[
    'smtp://user:%zz@host',
    'smtp://user:a%0ab@host',
    'smtp://ho st',
    'smtp://h%20ost',
    'smtp://a..b',
    'smtp://user:@host',
  ],
]) {
  test(`is no mail server: ${JSON.stringify(url)}`, (t) => {
    t.is(parseSmtpUrl(url), undefined);
  });
}

test('a sender is an address, with or without a name', (t) => {
  t.deepEqual(parseMailAddress('no-reply@Example.com'), { name: '', address: 'no-reply@example.com' });
  t.deepEqual(parseMailAddress(' Hushbox <a@example.com> '), { name: 'Hushbox', address: 'a@example.com' });
  t.deepEqual(parseMailAddress('"Box, Hush" <a@example.com>'), { name: 'Box, Hush', address: 'a@example.com' });
  t.deepEqual(parseMailAddress('Почта<a@example.com>'), { name: 'Почта', address: 'a@example.com' });
  t.deepEqual(parseMailAddress('<a@example.com>'), { name: '', address: 'a@example.com' });
});

for (const text of [
  ...[
    '',
    'nobody',
    'Name a@example.com',
    'Name <nobody>',
    'a@example.com, b@example.com',
    'A\r\nBcc: x <a@example.com>',
  ],
  ...['Name <a@example.com> x', '"a b"@example.com', 'Name <"a b"@example.com>', 'a <b <c@example.com>'],
]) {
  test(`is no sender: ${JSON.stringify(text)}`, (t) => {
    t.is(parseMailAddress(text), undefined);
  });
}

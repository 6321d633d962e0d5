import test from 'ava';
import fc from 'fast-check';
import { numbered, safeName } from '../../../client/command/file-name.ts';
import { visible, visibleJson, visibleLine } from '../../../client/command/visible.ts';
import { hostileString } from './hostile.ts';

const NAMES = [
  ['report.pdf', 'report.pdf'],
  ['Отчёт 2026.pdf', 'Отчёт 2026.pdf'],
  ['../../etc/passwd', 'passwd'],
  ['..\\..\\boot.ini', 'boot.ini'],
  ['/abs/olute', 'olute'],
  ['a/..', 'a'],
  ['..', 'file'],
  ['', 'file'],
  ['/', 'file'],
  ['.bashrc', 'bashrc'],
  ['. . .profile', 'profile'],
  ['.\u200b.\u0000/x\u202etxt.exe', 'xtxt.exe'],
  ['\u202e.\u2066.bashrc', 'bashrc'],
  ['a:b*c?d"e<f>g|h', 'a_b_c_d_e_f_g_h'],
  ['CON', '_CON'],
  ['nul.txt', '_nul.txt'],
  ['Lpt¹ .x', '_Lpt¹ .x'],
  ['console', 'console'],
  ['-rf', '_-rf'],
  ['~', '_~'],
  ['name. . ', 'name'],
  ['a\u2028b\u00a0c\x1b[31m', 'ab c[31m'],
] as const;
for (const [name, safe] of NAMES) {
  test(`the name ${visibleJson(name)} becomes ${visibleJson(safe)}`, (t) => {
    t.is(safeName(name), safe);
  });
}

test('a name is as long as file systems allow, and keeps its extension', (t) => {
  for (const name of [`${'é'.repeat(500)}.tar.gz`, `${'🙂'.repeat(100)}.pdf`, `x.${'y'.repeat(500)}`]) {
    const safe = safeName(name);
    t.true(Buffer.byteLength(safe) <= 200);
    t.true(safe.isWellFormed());
    if (!name.startsWith('x')) t.is(safe.split('.').at(-1), name.split('.').at(-1));
  }
});

test('of a name that is taken, the number comes before the extension', (t) => {
  t.is(numbered('report.pdf', 1), 'report.pdf');
  t.is(numbered('report.pdf', 2), 'report (2).pdf');
  t.is(numbered('a.tar.gz', 3), 'a (3).tar.gz');
  t.is(numbered('Makefile', 2), 'Makefile (2)');
});

test('no name at all leads out of a folder, hides itself, or holds what a terminal obeys', (t) => {
  fc.assert(
    fc.property(hostileString, (stranger) => {
      const safe = safeName(stranger);
      t.notRegex(safe, /[/\\<>:"|?*\p{C}]|^[.\-~ ]|[. ]$|^$/u);
      t.notRegex(safe, /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i);
      t.true(Buffer.byteLength(safe) <= 210);
      t.is(safeName(safe), safe);
    }),
    { numRuns: 2000 },
  );
});

test('a terminal gets control characters as signs', (t) => {
  t.is(visible('a\x1b[31mb\r\n\x07\x7f\x9b\u202e\tc'), 'a␛[31mb␍\n␇␡<U+009B><U+202E>␉c');
  t.is(visible('Привет 👩\u200d🚀 秘密'), 'Привет 👩\u200d🚀 秘密');
  t.is(visibleLine('a\nb'), 'a␊b');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      t.notRegex(visible(text), /[^\n\P{Cc}]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u);
    }),
    { numRuns: 1000 },
  );
});

test('JSON for a terminal is the same value', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      t.notRegex(visibleJson({ text }), /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
      t.deepEqual(JSON.parse(visibleJson({ text })), { text });
    }),
    { numRuns: 500 },
  );
});

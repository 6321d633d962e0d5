import test from 'ava';
import { PACKAGE_FILES } from '../../src/web/package-files.ts';

const words = PACKAGE_FILES['words.txt']().toString().split('\n');

test('the words of a phrase are the EFF list without what a listener cannot hear', (t) => {
  t.is(words.length, 7776 - 4); // drop-down, felt-tip, t-shirt, yo-yo
  t.is(new Set(words).size, words.length);
  t.deepEqual(
    words.filter((word) => !/^[a-z]{3,9}$/.test(word)),
    [],
  );
});

test('what draws QR codes is one module that loads nothing else', (t) => {
  const code = PACKAGE_FILES['uqr.js']().toString();
  t.notRegex(code, /\bimport\b|\brequire\(|https?:\/\/(?!www\.w3\.org)/);
  t.regex(code, /export \{[^}]*\bencode\b/);
});

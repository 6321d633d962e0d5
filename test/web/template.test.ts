import test from 'ava';
import { fill, include } from '../../src/web/template.ts';

test('text cannot leave the place it is put into', (t) => {
  const text = `"'><script>alert(1)</script>&amp;`;
  t.is(
    fill('<p title="{{text}}">{{text}}</p>', { text }),
    `<p title="${'&#34;&#39;&#62;&#60;script&#62;alert(1)&#60;/script&#62;&#38;amp;'}">&#34;&#39;&#62;&#60;script&#62;alert(1)&#60;/script&#62;&#38;amp;</p>`,
  );
});

test('text is put in as it is: no placeholder in it is filled, no pattern in it expanded', (t) => {
  t.is(fill('{{a}}', { a: '{{b}}{{#b}}$&$1', b: 'x' }), '{{b}}{{#b}}$&#38;$1');
});

test('a part is kept or dropped, parts within it too', (t) => {
  const template = '1{{#outer}}2{{#inner}}3{{/inner}}4{{/outer}}5';
  t.is(fill(template, { outer: true, inner: true }), '12345');
  t.is(fill(template, { outer: true, inner: false }), '1245');
  t.is(fill(template, { outer: false, inner: true }), '15');
});

test('a placeholder that nothing fills is our mistake', (t) => {
  t.throws(() => fill('{{missing}}', {}), { instanceOf: TypeError });
  t.throws(() => fill('{{#missing}}x{{/missing}}', {}), { instanceOf: TypeError });
});

test('what pages share is put in the place of its name', (t) => {
  const parts: Record<string, string> = { top: '<p>{{name}}</p>' };
  t.is(
    fill(
      include('{{>top}}!{{>top}}', (name) => parts[name] ?? ''),
      { name: '<' },
    ),
    '<p>&#60;</p>!<p>&#60;</p>',
  );
});

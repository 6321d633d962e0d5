import test from 'ava';
import { prefersText } from '../../src/http/accept.ts';

const TEXT = [
  'text/plain',
  'TEXT/Plain',
  'text/plain; charset=utf-8',
  'text/plain, */*',
  'text/plain, application/json',
  'text/plain;q=0.9, application/json;q=0.8',
  'application/json;q=0.8, text/plain;q=0.9',
  'application/json;q=0, text/plain;q=0.1',
  'text/html, text/plain;q=0.9, */*;q=0.8',
  'text/plain; Q=1.000',
  'text/*',
  'text/*, application/*',
  'text/*;q=0.5, */*;q=0.4',
  'text/plain, */*;q=0.1',
  'text/plain;q=0.2, text/plain, application/json;q=0.5',
  'application/json;q=x, text/plain;q=0.1',
];

const JSON_OR_ANY = [
  undefined,
  '',
  '*/*',
  'application/json',
  'text/html',
  'text/html,application/xhtml+xml,*/*;q=0.8',
  'application/json, text/plain, */*',
  'application/json, text/plain',
  '*/*, text/plain',
  'application/*, text/plain',
  'text/plain;q=0.8, */*;q=0.9',
  'text/plain;q=0.5, application/json',
  'text/plain;q=0',
  'text/plain;q=0, text/*, application/json;q=0.5',
  'text/plain;q=0.0, */*',
  'text/plain;q=2',
  'text/plain;q=-1',
  'text/plain;q=',
  'text/plain;q=one',
  'text/plainer',
  'x-text/plain',
  'text',
  ',;,q=1;text/plain;,',
  'text/ plain',
];

test('text is preferred with a higher quality, or with the same if it is named first', (t) => {
  for (const accept of TEXT) t.true(prefersText(accept), accept);
});

test('in every other case JSON is, also if the header makes no sense', (t) => {
  for (const accept of JSON_OR_ANY) t.false(prefersText(accept), accept);
});

/**
 * What must be in no log: every secret, phrase, key, token, address to be told and header value that a test sent or was given. Each program
 * and each server of the suite is searched for all of them when it ends.
 */
const SECRET_MEMBERS = new Set([
  'token',
  'password',
  'cookie',
  'proof',
  'secret',
  'phrase',
  'secret_key',
  'receipt_key',
  'notify',
  'webhook_secret',
]);
const SECRET_HEADERS = new Set([
  'idempotency-key',
  'authorization',
  'proxy-authorization',
  'x-my-jwt',
  'token',
  'cookie',
  'dpop',
  'destination',
]);
/** Shorter ones are also ordinary words. */
const MIN_LENGTH = 8;
/** Of a key, even its beginning says too much: four bytes of time, then chance. */
const KEY = /^[\w-]{32,}$/;
const KEY_BEGINNING = 16;

const texts = new Set<string>();
const keyBeginnings = new Set<string>();

export function remember(value: unknown): void {
  if (typeof value !== 'string' || value.length < MIN_LENGTH) return;
  if (KEY.test(value)) keyBeginnings.add(value.slice(0, KEY_BEGINNING));
  else texts.add(value);
}

/** Remembers what is secret in a body that was sent or received: an object, or its JSON. */
export function rememberBody(body: unknown): void {
  let members = body;
  if (typeof body === 'string') {
    try {
      members = JSON.parse(body);
    } catch {
      return; // not JSON: a page, or what a test sends to be refused
    }
  }
  if (typeof members !== 'object' || members === null) return;
  for (const [name, value] of Object.entries(members)) if (SECRET_MEMBERS.has(name)) remember(value);
}

export function rememberHeaders(headers: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(headers)) if (SECRET_HEADERS.has(name.toLowerCase())) remember(value);
}

/** Remembers what only the receiver of an event is told. */
export function rememberCall(headers: Readonly<Record<string, unknown>>): void {
  remember(headers['webhook-id']);
  remember(String(headers['webhook-signature']).slice('v1,'.length));
  remember(String(headers['x-my-jwt']).split('.')[2]);
}

/** For a teardown, where nothing can be asserted any more: an error fails the test. */
export function expectNoLeaks(logged: string): void {
  const leaks = findLeaks(logged);
  if (leaks.length > 0) throw new Error(`something secret was logged: ${leaks.slice(0, 3).join(', ')}`);
}

/** @returns what of all that was remembered is in the text, as it is or as JSON has it. */
export function findLeaks(logged: string): string[] {
  const words = new Set(logged.match(/[\w-]{16,}/g)?.map((word) => word.slice(0, KEY_BEGINNING)));
  return [...findTexts(logged), ...[...keyBeginnings].filter((beginning) => words.has(beginning))];
}

/** One walk through the text, however many there are to be found: tens of thousands in tens of megabytes. */
function findTexts(logged: string): string[] {
  const byBeginning = new Map<string, { form: string; text: string }[]>();
  for (const text of texts) {
    for (const form of new Set([text, JSON.stringify(text).slice(1, -1)])) {
      const beginning = form.slice(0, MIN_LENGTH);
      byBeginning.set(beginning, [...(byBeginning.get(beginning) ?? []), { form, text }]);
    }
  }
  const found = new Set<string>();
  for (let at = 0; at <= logged.length - MIN_LENGTH; at++) {
    const forms = byBeginning.get(logged.slice(at, at + MIN_LENGTH));
    for (const { form, text } of forms ?? []) if (logged.startsWith(form, at)) found.add(text);
  }
  return [...found];
}

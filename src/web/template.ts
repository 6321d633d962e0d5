/** Text is escaped; a boolean keeps or drops the part between `{{#name}}` and `{{/name}}`. */
export type Values = Readonly<Record<string, string | boolean>>;

/**
 * Fills a page. Placeholders may be in text and in quoted attributes, where the escape is enough.
 * @throws TypeError for a placeholder without a value.
 */
export function fill(template: string, values: Values): string {
  return keepParts(template, values).replace(/\{\{(\w+)\}\}/g, (_placeholder, name: string) =>
    escapeHtml(String(lookUp(values, name))),
  );
}

/** Puts what pages share in the place of `{{>name}}`. */
export function include(template: string, readPart: (name: string) => string): string {
  return template.replace(/\{\{>([\w-]+)\}\}/g, (_place, name: string) => readPart(name));
}

/**
 * Puts the words of a language in the place of `{{@key}}`. Placeholders in them are left to `fill`.
 * @throws TypeError for a key without a text.
 */
export function translate(template: string, texts: Readonly<Record<string, string>>): string {
  return template.replace(/\{\{@(\w+)\}\}/g, (_place, key: string) => escapeHtml(String(lookUp(texts, key))));
}

function keepParts(template: string, values: Values): string {
  return template.replace(/\{\{#(\w+)\}\}(.*?)\{\{\/\1\}\}/gs, (_part, name: string, inner: string) =>
    lookUp(values, name) === true ? keepParts(inner, values) : '',
  );
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function lookUp(values: Values, name: string): string | boolean {
  const value = values[name];
  if (value === undefined) throw new TypeError(`nothing fills the placeholder ${name}`);
  return value;
}

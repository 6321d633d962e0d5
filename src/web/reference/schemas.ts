import type { Schema } from '../../http/openapi.ts';
import { type Html, html, join } from './html.ts';

/** Of the document: what `$ref` leads to. */
export type Find = <T>(value: T | { $ref: string }) => T;

/** A member of an object. Members of members have paths, such as `ttl.days`, and `[]` stands for the items of a list. */
export type Member = { path: string; type: Html; isRequired: boolean; description: string };

/** The keywords that our schemas use. A test holds them to that. */
export type Shape = {
  type?: string | readonly string[];
  description?: string;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  allOf?: readonly Schema[];
  anyOf?: readonly Schema[];
  items?: Schema;
  enum?: readonly unknown[];
  const?: unknown;
  default?: unknown;
  format?: string;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minProperties?: number;
  maxItems?: number;
};

const FORMATS: Readonly<Record<string, string>> = {
  'date-time': 'date and time',
  date: 'date',
  email: 'email address',
  uri: 'URL',
  uuid: 'UUID',
};

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'whole number',
  number: 'number',
  boolean: 'true or false',
  array: 'list',
};

/** The members of an object, or of the items of a list, in the order of the schema. */
export function listMembers(schema: Schema, find: Find, prefix = ''): Member[] {
  const { properties, required = [], items } = shapeOf(schema, find);
  if (items) return listMembers(items, find, prefix && `${prefix}[]`);
  return Object.entries(properties ?? {}).flatMap(([name, member]) => {
    const path = prefix ? `${prefix}.${name}` : name;
    const { description = '' } = shapeOf(member, find);
    const isRequired = required.includes(name);
    return [{ path, type: describeType(member, find), isRequired, description }, ...listMembers(member, find, path)];
  });
}

/** Type and limits in a few words. */
export function describeType(schema: Schema, find: Find): Html {
  const { default: fallback, pattern, anyOf, ...shape } = shapeOf(schema, find);
  if (anyOf) return join(anyOf.map((one) => describeType(one, find)), ' or '); // biome-ignore format: one line
  const { minLength, maxLength, minimum, maximum, minProperties, maxItems } = shape;
  const limits = [
    rangeOf(minLength, maxLength, 'characters'),
    rangeOf(minimum, maximum, ''),
    rangeOf(minProperties, undefined, 'members'),
    rangeOf(undefined, maxItems, 'items'),
  ].filter((limit) => limit !== '');
  return join(
    [
      nameType(shape),
      ...limits.map((limit) => html`${limit}`),
      ...(pattern === undefined ? [] : [html`pattern <code>${pattern}</code>`]),
      ...(fallback === undefined ? [] : [html`default <code>${JSON.stringify(fallback)}</code>`]),
    ],
    ', ',
  );
}

function nameType({ type, format, enum: values, const: only }: Shape): Html {
  if (only !== undefined) return html`always ${codeOf(only)}`;
  if (values) return html`one of ${join(values.map(codeOf), ', ')}`;
  const names = [type ?? 'anything'].flat().map((name) => TYPES[name] ?? name);
  return html`${(format && FORMATS[format]) ?? names.join(' or ')}`;
}

function codeOf(value: unknown): Html {
  return html`<code>${typeof value === 'string' ? value : JSON.stringify(value)}</code>`;
}

function rangeOf(from: number | undefined, to: number | undefined, unit: string): string {
  const [least, most] = [from, to].map((limit) => limit?.toLocaleString('en'));
  const range = least && most ? `${least} to ${most}` : least ? `at least ${least}` : most ? `at most ${most}` : '';
  return range && unit ? `${range} ${unit}` : range;
}

/** With what `$ref` and `allOf` add. */
export function shapeOf(schema: Schema, find: Find): Shape {
  const { allOf, ...own } = find<Shape>(schema);
  if (!allOf) return own;
  const shapes = [...allOf.map((one) => shapeOf(one, find)), own];
  return {
    ...Object.assign({}, ...shapes),
    properties: Object.assign({}, ...shapes.map(({ properties }) => properties)),
    required: shapes.flatMap(({ required = [] }) => required),
  };
}

import type { Schema } from '../../http/openapi.ts';
import { type Html, html } from './html.ts';
import { renderLine } from './markdown.ts';
import { describeType, type Find, listMembers } from './schemas.ts';

/** Something with a name, and what it means. */
export type Term = { id?: string; name: Html; notes?: readonly Html[]; text: string };

export const REQUIRED = html`<span class="required">required</span>`;
const SOMETIMES = note('not always there');

/** @returns nothing if there are no terms. */
export function renderTerms(terms: readonly Term[]): Html | undefined {
  if (terms.length === 0) return undefined;
  return html`<dl class="terms">
${terms.map(renderTerm)}</dl>`;
}

function renderTerm({ id, name, notes = [], text }: Term): Html {
  const place = id === undefined ? undefined : html` id="${id}"`;
  return html`<div${place}><dt>${name}${notes.map((one) => html` ${one}`)}</dt><dd>${renderLine(text)}</dd></div>
`;
}

export function note(text: string | Html): Html {
  return html`<span class="note">${text}</span>`;
}

export function code(text: string): Html {
  return html`<code>${text}</code>`;
}

/** The members of a body that somebody sends. */
export function renderSent(schema: Schema, find: Find): Html | undefined {
  return renderMembers(schema, find, (isRequired) => (isRequired ? [REQUIRED] : []));
}

/** The members of a body that comes. */
export function renderReceived(schema: Schema, find: Find): Html | undefined {
  return renderMembers(schema, find, (isRequired) => (isRequired ? [] : [SOMETIMES]));
}

function renderMembers(schema: Schema, find: Find, notesOn: (isRequired: boolean) => Html[]): Html | undefined {
  return renderTerms(
    listMembers(schema, find).map(({ path, type, isRequired, description }) => ({
      name: code(path),
      notes: [note(type), ...notesOn(isRequired)],
      text: description,
    })),
  );
}

export function renderParameters(parameters: readonly Schema[], find: Find): Html | undefined {
  return renderTerms(
    parameters.map(({ name, in: place, required, description = '', schema }) => ({
      name: code(String(name)),
      notes: [note(html`${String(place)}, ${describeType(schema as Schema, find)}`), ...(required ? [REQUIRED] : [])],
      text: String(description),
    })),
  );
}

export function renderHeaders(headers: Readonly<Record<string, Schema>>, find: Find): Html | undefined {
  return renderTerms(
    Object.entries(headers).map(([name, header]) => ({
      name: code(name),
      notes: [note('header')],
      text: String(find<Schema>(header).description ?? ''),
    })),
  );
}

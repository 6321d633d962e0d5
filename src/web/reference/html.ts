import { escapeHtml } from '../template.ts';

/** Markup, as opposed to text that becomes markup only when it is escaped. */
export type Html = { readonly markup: string };

type Part = string | number | Html | readonly Html[] | undefined;

/** Markup from a template literal. Text in it is escaped, and fits between tags and in quoted attributes. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return { markup: String.raw({ raw: strings }, ...parts.map(markupOf)) };
}

export function join(parts: readonly Html[], between: string): Html {
  return { markup: parts.map(({ markup }) => markup).join(between) };
}

function markupOf(part: Part): string {
  if (part === undefined) return '';
  if (typeof part !== 'object') return toMarkup(String(part));
  return 'markup' in part ? part.markup : join(part, '').markup;
}

/** A page is filled where two braces stand. */
function toMarkup(text: string): string {
  return escapeHtml(text).replace(/[{}]/g, (brace) => `&#${brace.charCodeAt(0)};`);
}

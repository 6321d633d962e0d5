import { type Html, html } from './html.ts';
import { renderTerms } from './terms.ts';

/** Ways to authenticate, by the names that operations use. */
export type Schemes = Readonly<
  Record<string, { type: string; name?: string; in?: string; scheme?: string; description: string }>
>;

/** What a request has to carry. */
export function labelOf(schemes: Schemes, name: string): Html {
  const { type, name: key, in: place, scheme = '' } = schemes[name] ?? { type: name };
  if (type === 'apiKey') return html`${place} <code>${key}</code>`;
  return html`<code>Authorization: ${scheme.replace(/^b/, 'B')}</code>`;
}

export function renderSchemes(schemes: Schemes): Html | undefined {
  return renderTerms(
    Object.entries(schemes).map(([id, { description }]) => ({ id, name: labelOf(schemes, id), text: description })),
  );
}

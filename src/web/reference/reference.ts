import type { Answer, PathItem, Schema } from '../../http/openapi.ts';
import { renderErrors } from './errors.ts';
import { type Html, html } from './html.ts';
import { renderLine, renderMarkdown } from './markdown.ts';
import { type Entry, renderOperation } from './operation.ts';
import type { Find } from './schemas.ts';
import { renderSchemes, type Schemes } from './security.ts';
import { renderWebhooks } from './webhooks.ts';

/** The OpenAPI document, as far as its reader here needs it. */
export type ApiDocument = {
  info: { description: string };
  tags: readonly { name: string; description: string }[];
  paths: Readonly<Record<string, PathItem>>;
  webhooks: Readonly<Record<string, PathItem>>;
  components: {
    securitySchemes: Schemes;
    headers: Readonly<Record<string, Schema>>;
    responses: Readonly<Record<string, Answer | { $ref: string }>>;
    schemas: Readonly<Record<string, Schema>>;
  };
};

/**
 * The document for people.
 * @returns what the page says, and its table of contents: the items of a list. One address in it begins with `{{root}}`,
 *   and `{{address}}` stands for that of the server.
 */
export function renderReference(document: ApiDocument): { text: string; contents: string } {
  const { tags, paths, webhooks, components } = document;
  const find = createFind(document);
  const groups = tags.map(({ name, description }) => {
    const id = `about-${name.replaceAll(' ', '-')}`;
    const title = name.charAt(0).toUpperCase() + name.slice(1);
    return { id, title, description, entries: entriesOf(paths, name), events: entriesOf(webhooks, name) };
  });
  const text = html`${renderRules(document)}
${groups.map(({ id, title, description, entries, events }) =>
  renderGroup(
    id,
    title,
    html`<p>${renderLine(description)}</p>
${entries.map((entry) => renderOperation(entry, components.securitySchemes, find))}
${renderWebhooks(events, find)}`,
  ),
)}
${renderGroup('authentication', 'Authentication', renderSchemes(components.securitySchemes))}
${renderGroup('errors', 'Errors', renderErrors({ $ref: '#/components/schemas/Error' }, components.headers, find))}`;
  const contents = html`${groups.map(({ id, title, entries }) => renderContents(id, title, entries))}
${renderContents('authentication', 'Authentication', [])}
${renderContents('errors', 'Errors', [])}`;
  return { text: text.markup, contents: contents.markup };
}

function createFind(document: ApiDocument): Find {
  return <T>(value: T | { $ref: string }): T => {
    if (typeof value !== 'object' || value === null || !('$ref' in value)) return value as T;
    const steps = value.$ref.slice('#/'.length).split('/');
    return steps.reduce((at: unknown, step) => (at as Record<string, unknown>)[step], document) as T;
  };
}

function entriesOf(items: Readonly<Record<string, PathItem>>, tag: string): Entry[] {
  return Object.entries(items).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([, { tags }]) => tags[0] === tag)
      .map(([method, operation]) => ({ method, path, operation })),
  );
}

function renderRules({ info }: ApiDocument): Html {
  return html`<h1>API reference</h1>
<p>Programs read the same in <a href="{{root}}openapi.json">openapi.json</a>, an OpenAPI document.</p>
${renderMarkdown(info.description)}
<p>The examples are for a shell. Give it the address of the server once. Other variables stand for what you got from the
server before, or from whoever runs it.</p>
<pre class="command"><code>HUSHBOX_URL={{address}}</code></pre>`;
}

function renderGroup(id: string, title: string, content: Html | undefined): Html {
  return html`<section class="group" aria-labelledby="${id}">
<h2 id="${id}">${title}</h2>
${content}
</section>
`;
}

function renderContents(id: string, title: string, entries: readonly Entry[]): Html {
  const items = entries.map(
    ({
      method,
      path,
      operation,
    }) => html`<li><a href="#${operation.operationId}"><span class="method">${method.toUpperCase()}</span> ${path}</a></li>
`,
  );
  return html`<li><a href="#${id}">${title}</a>${items.length > 0 ? html`<ul>${items}</ul>` : undefined}</li>
`;
}

import type { Answer, DescribedOperation, Schema } from '../../http/openapi.ts';
import { commandsOf } from './curl.ts';
import { isFailure, renderFailures } from './errors.ts';
import { type Html, html, join } from './html.ts';
import { renderLine, renderMarkdown } from './markdown.ts';
import { describeType, type Find, shapeOf } from './schemas.ts';
import { labelOf, type Schemes } from './security.ts';
import { code, renderHeaders, renderParameters, renderReceived, renderSent } from './terms.ts';

export type Entry = { method: string; path: string; operation: DescribedOperation };
type Body = NonNullable<DescribedOperation['requestBody']>;

export function renderOperation({ method, path, operation }: Entry, schemes: Schemes, find: Find): Html {
  const { operationId, summary, description, security, parameters = [], requestBody, responses } = operation;
  const commands = commandsOf(path, method, operation).map(renderCommand);
  const address = join(path.split('/').map((step) => html`${step}`), '/<wbr>'); // biome-ignore format: one line
  return html`<section class="operation" id="${operationId}">
<h3><a href="#${operationId}"><span class="method">${method.toUpperCase()}</span> <span>${address}</span></a></h3>
<p class="summary">${renderLine(summary)}</p>
${description && renderMarkdown(description)}
${withHeading('Authentication', security && renderSecurity(security, schemes))}
${withHeading('Parameters', renderParameters(parameters, find))}
${withHeading('Body', requestBody && renderBody(requestBody, find))}
${withHeading('Example', commands)}
${withHeading('Answers', [...renderAnswers(responses, find), renderFailures(responses) ?? html``])}
</section>
`;
}

export function renderCommand(command: string): Html {
  return html`<pre class="command"><code>${command}</code></pre>
`;
}

/** JSON that is sent or comes. */
export function renderExample(value: unknown): Html {
  return html`<pre><code>${JSON.stringify(value, undefined, 2)}</code></pre>`;
}

function withHeading(heading: string, part: Html | readonly Html[] | undefined): Html | undefined {
  return (
    part &&
    html`<h4>${heading}</h4>
${part}`
  );
}

function renderSecurity(security: readonly Schema[], schemes: Schemes): Html | undefined {
  const names = security.flatMap((way) => Object.keys(way));
  const isOptional = names.length < security.length;
  const ways = names.map((name) => html`<a href="#${name}">${labelOf(schemes, name)}</a>`);
  return html`<p>${isOptional ? 'If the server asks for it: ' : ''}${join(ways, ' or ')}</p>`;
}

function renderBody({ description, content }: Body, find: Find): Html {
  const { 'application/json': json, ...others } = content;
  const forms = join(Object.keys(others).map(code), ' or ');
  const isFormToo = json !== undefined && forms.markup !== '';
  return html`<p>${renderLine(description)}${isFormToo ? html` A form works too: ${forms}.` : undefined}</p>
${json && renderSent(json.schema, find)}`;
}

function renderAnswers(responses: DescribedOperation['responses'], find: Find): Html[] {
  return Object.entries(responses).flatMap(([status, answer]) =>
    '$ref' in answer || isFailure(answer) ? [] : [renderAnswer(status, answer, find)],
  );
}

export function renderAnswer(status: string, { description, headers, content = {} }: Answer, find: Find): Html {
  const { 'application/json': json, 'text/plain': text, 'text/html': page } = content;
  const { 'x-request-id': _everywhere, ...ownHeaders } = headers as Record<string, Schema>;
  const [example] = Object.values(json?.examples ?? {}) as { value: unknown }[];
  const isList = json && shapeOf(json.schema, find).type === 'array';
  const textIs = text?.schema.description;
  return html`<div class="answer"><p><strong>${status}</strong> ${renderLine(description)}</p>
${renderHeaders(ownHeaders, find)}
${isList ? html`<p>It is a ${describeType(json.schema, find)}; its items have these members.</p>` : undefined}
${json && renderReceived(json.schema, find)}
${example && renderExample(example.value)}
${typeof textIs === 'string' ? html`<p>With <code>Accept: text/plain</code>: ${renderLine(textIs)}</p>` : undefined}
${json && page ? html`<p>With <code>Accept: text/html</code>: a page.</p>` : undefined}
</div>
`;
}

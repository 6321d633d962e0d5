import type { Answer, DescribedOperation } from '../../http/openapi.ts';
import { type Html, html } from './html.ts';
import { renderMarkdown } from './markdown.ts';
import { type Entry, renderAnswer, renderExample } from './operation.ts';
import type { Find } from './schemas.ts';
import { code, renderParameters, renderSent, renderTerms } from './terms.ts';

/**
 * The requests that the server sends. They share everything but their names and examples.
 * @throws TypeError if they do not.
 */
export function renderWebhooks(events: readonly Entry[], find: Find): Html | undefined {
  const [first] = events;
  if (first === undefined) return undefined;
  if (new Set(events.map(({ operation }) => sharedOf(operation))).size > 1) {
    throw new TypeError('webhooks differ in more than their names and examples');
  }
  const { description = '', parameters = [], requestBody, responses } = first.operation;
  const always = parameters.map((parameter) => ({ ...parameter, required: false })); // nobody has to send them
  const json = requestBody?.content['application/json'];
  const [example] = Object.values(json?.examples ?? {}) as { value: unknown }[];
  const { allOf } = (json?.schema ?? {}) as { allOf?: readonly [Record<string, unknown>] };
  return html`${renderMarkdown(description)}
${renderTerms(
  events.map(({ path, operation }) => ({ id: operation.operationId, name: code(path), text: `${operation.summary}.` })),
)}
<h3>Headers</h3>
${renderParameters(always, find)}
<h3>Body</h3>
${allOf && renderSent(allOf[0], find)}
${example && renderExample(example.value)}
<h3>Answers of the receiver</h3>
${Object.entries(responses).map(([status, answer]) => renderAnswer(status, answer as Answer, find))}`;
}

function sharedOf({ description, parameters, requestBody, responses }: DescribedOperation): string {
  return JSON.stringify([description, parameters, requestBody?.description, responses]);
}

import { ERRORS, PROXY_CODES } from '../../errors.ts';
import type { Answer, DescribedOperation, Schema } from '../../http/openapi.ts';
import { type Html, html, join } from './html.ts';
import type { Find } from './schemas.ts';
import { code, note, renderHeaders, renderSent, renderTerms } from './terms.ts';

/** What every error has. */
const COMMON = ['Error', 'code', 'request_id'];

/** Whether an answer is an error of ours, by its examples. */
export function isFailure({ content }: Answer): boolean {
  return Object.keys(content?.['application/json']?.examples ?? {}).some((name) => name in ERRORS);
}

/** The codes of one operation. Those that any request can get are at the end of the page. */
export function renderFailures(responses: DescribedOperation['responses']): Html | undefined {
  const failures = Object.values(responses).filter((answer) => !('$ref' in answer) && isFailure(answer)) as Answer[];
  if (failures.length === 0) return undefined;
  const examples = failures.flatMap(({ content }) => Object.values(content?.['application/json']?.examples ?? {}));
  return html`<ul class="failures">
${examples.map((example) => renderFailure((example as { value: Failure }).value))}</ul>`;
}

type Failure = { Error: string; code: keyof typeof ERRORS };

function renderFailure({ Error: title, code: name, ...rest }: Failure): Html {
  const added = Object.keys(rest).filter((member) => !COMMON.includes(member));
  const more = added.length === 0 ? undefined : html`, with ${join(added.map(code), ', ')}`;
  return html`<li>${note(String(ERRORS[name].status))} <a href="#${name}">${code(name)}</a> ${title}${more}</li>
`;
}

/** What errors have in common, and every code by status. */
export function renderErrors(schema: Schema, headers: Readonly<Record<string, Schema>>, find: Find): Html {
  const ours = Object.entries(ERRORS).map(([name, { status, title }]) => ({ name, status, text: `${title}.` }));
  const ofNginx = Object.entries(PROXY_CODES).map(([name, status]) => ({ name, status, text: 'Only of nginx.' }));
  const all = [...ours, ...ofNginx].sort((a, b) => a.status - b.status);
  const terms = all.map(({ name, status, text }) => ({ id: name, name: code(name), notes: [note(`${status}`)], text }));
  return html`<p>An error is a JSON object with these members. Some codes add others.</p>
${renderSent(schema, find)}
<p>These are the codes.</p>
${renderTerms(terms)}
<h3>Headers</h3>
<p>Every answer has <code>x-request-id</code>. The others come with some statuses.</p>
${renderHeaders(headers, find)}`;
}

import { type Html, html } from './html.ts';

/** What the descriptions use of Markdown: paragraphs, lists and code. A test holds them to that. */
export function renderMarkdown(text: string): Html[] {
  return text.split('\n\n').map((block) => {
    if (!block.startsWith('- ')) return html`<p>${renderLine(block)}</p>`;
    const items = block.slice(2).split('\n- ');
    return html`<ul>${items.map((item) => html`<li>${renderLine(item)}</li>`)}</ul>`;
  });
}

/** Every second piece between backticks is code. */
export function renderLine(text: string): Html[] {
  return text.split('`').map((piece, index) => (index % 2 === 1 ? html`<code>${piece}</code>` : html`${piece}`));
}

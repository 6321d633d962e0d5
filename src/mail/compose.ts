import type { Mail } from './mailer.ts';
import { ENGLISH } from './texts/english.ts';
import { RUSSIAN } from './texts/russian.ts';

const TEXTS = { en: ENGLISH, ru: RUSSIAN };
const STYLE = 'font-family:sans-serif;line-height:1.5;max-width:36em;margin:1em auto;padding:0 1em';

export type Composed = { subject: string; text: string; html: string };

/** A mail in words: as plain text, with the link alone on a line, and the same as HTML that loads nothing. */
export function composeMail({ kind, language, values: { link } }: Mail, site: string): Composed {
  const { subject, before, after } = TEXTS[language](site)[kind];
  const links = link === undefined ? [] : [link];
  const paragraphs = [
    ...before.map(escapeHtml),
    ...links.map((url) => `<a href="${escapeHtml(url)}">${escapeHtml(url)}</a>`),
    ...after.map(escapeHtml),
  ];
  const html = [
    '<!doctype html>',
    `<html lang="${language}"><head><meta charset="utf-8"><title>${escapeHtml(subject)}</title></head>`,
    `<body style="${STYLE}">`,
    ...paragraphs.map((paragraph) => `<p>${paragraph}</p>`),
    '</body></html>',
  ];
  return { subject, text: `${[...before, ...links, ...after].join('\n\n')}\n`, html: `${html.join('\n')}\n` };
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] as string);
}

// A link that opens nothing: perhaps because it was opened here, or because its # was changed on its way.

import { findRead } from './kept.js';
import { find, formatInstant, root, showSection } from './page.js';

/** Mail gateways write the # as %23, some of them twice. */
const ESCAPED = /\/(secrets|requests)\/+([\w-]+)\/*%(?:25)*23([^/]*)\/*$/;

const [, kind, key, fragment] = ESCAPED.exec(location.pathname) ?? [];
if (kind && key) {
  // What follows may be spoilt too, as by the full stop of a sentence: the page of the link says so.
  history.replaceState({ wasSeen: true }, '', new URL(`${kind}/${key}#${fragment}`, root));
  location.reload();
} else {
  const at = await findRead(/\/([\w-]+)\/*$/.exec(location.pathname)?.[1] ?? '');
  if (at !== undefined) {
    find('.read-at', HTMLTimeElement).textContent = formatInstant(at);
    showSection('before');
  }
}

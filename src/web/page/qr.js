// A link as a picture that a phone reads. Loaded when somebody asks for it.

import { encode } from './uqr.js';

const SVG = 'http://www.w3.org/2000/svg';
/** Readers need this much white around the picture (ISO/IEC 18004). */
const BORDER_MODULES = 4;

/**
 * @param {string} text
 * @param {string} label what a screen reader says
 * @returns {SVGSVGElement} black on white in a dark page too: many readers see nothing in an inverted picture
 */
export function drawQr(text, label) {
  const { data, size } = encode(text, { ecc: 'M', border: BORDER_MODULES });
  const picture = document.createElementNS(SVG, 'svg');
  set(picture, { class: 'qr', viewBox: `0 0 ${size} ${size}`, role: 'img', 'aria-label': label });
  const ground = document.createElementNS(SVG, 'rect');
  set(ground, { width: String(size), height: String(size), fill: '#fff' });
  const modules = document.createElementNS(SVG, 'path');
  set(modules, { d: data.map(outlineOf).join(''), fill: '#000', 'shape-rendering': 'crispEdges' });
  picture.append(ground, modules);
  return picture;
}

/**
 * @param {boolean[]} row
 * @param {number} y
 * @returns {string} one rectangle for each run of dark modules
 */
function outlineOf(row, y) {
  const dark = row.map((isDark) => (isDark ? '1' : '0')).join('');
  return Array.from(dark.matchAll(/1+/g), ({ 0: { length }, index }) => `M${index} ${y}h${length}v1h-${length}z`).join(
    '',
  );
}

/**
 * @param {Element} element
 * @param {Record<string, string>} attributes
 */
function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

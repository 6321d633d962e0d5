import { spawnSync } from 'node:child_process';

// What a terminal shows: the commands are run, and what they print is written as an SVG that plays once.
const COLUMNS = 84;
const LINE_PX = 20;
const CHARACTER_PX = 8.43;
const MARGIN_PX = 20;
/** A server that people would use, in place of the one that ran. */
const SHOWN_BASE = 'https://hushbox.example';
/** The exit status for a secret that is gone. */
const GONE = 3;
const TYPED_MS = 1_600;
const ANSWERED_MS = 700;

type Line = { text: string; isTyped: boolean; atMs: number };

/** @returns the SVG of a secret that is sent, opened, and gone. */
export function record(base: string): string {
  const lines: Line[] = [];
  let atMs = 0;

  function run(shown: string, command = shown, input = '', expected = 0): string {
    const { PATH = '' } = process.env;
    const env = { PATH: `bin:${PATH}`, HUSHBOX_URL: base };
    const { stdout, stderr, status } = spawnSync('/bin/sh', ['-c', command], { env, input, encoding: 'utf8' });
    const printed = (stdout + stderr).trim();
    if (status !== expected) throw new Error(`${command} ended with ${status}: ${printed}`);
    for (const text of wrap(`$ ${shown}`)) lines.push({ text, isTyped: true, atMs });
    atMs += TYPED_MS;
    const answer = printed.split('\n').flatMap((line) => wrap(line.replaceAll(base, SHOWN_BASE)));
    for (const text of answer) lines.push({ text, isTyped: false, atMs });
    atMs += ANSWERED_MS;
    return printed;
  }

  const link = run("echo 'the password of the printer is 4711' | hushbox send --ttl 1d");
  const look = 'hushbox open -   # reads the link that is pasted';
  run(look, 'hushbox open -', link);
  run(look, 'hushbox open -', link, GONE);
  return draw(lines);
}

/** At a blank where there is one: a link has none. */
function wrap(text: string): string[] {
  return text.match(new RegExp(`.{1,${COLUMNS}}(?: |$)|.{${COLUMNS}}`, 'g')) ?? [''];
}

function draw(lines: readonly Line[]): string {
  const width = Math.ceil(COLUMNS * CHARACTER_PX) + 2 * MARGIN_PX;
  const height = lines.length * LINE_PX + 2 * MARGIN_PX;
  const texts = lines.map(({ text, isTyped, atMs }, index) => {
    const y = MARGIN_PX + (index + 0.75) * LINE_PX;
    // Without animation everything is seen.
    const hidden = atMs === 0 ? '' : `<set attributeName="opacity" to="0" begin="0s" dur="${atMs / 1000}s"/>`;
    return `  <text x="${MARGIN_PX}" y="${y}" class="${isTyped ? 'typed' : 'printed'}">${escapeXml(text)}${hidden}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
  <style>text { font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre } .typed { fill: #fff } .printed { fill: #86d5b4 }</style>
  <rect width="100%" height="100%" rx="10" fill="#171a18"/>
${texts.join('\n')}
</svg>
`;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
}

export type Bar = { label: string; value: number; isOurs: boolean };

const WIDTH = 760;
const LABEL_WIDTH = 320;
const ROW = 36;

/** Horizontal bars as an SVG that reads on light and dark ground. */
export function drawBars(title: string, bars: readonly Bar[], unit: string): string {
  const longest = Math.max(...bars.map(({ value }) => value));
  const scale = (WIDTH - LABEL_WIDTH - 130) / longest;
  const rows = bars.map(({ label, value, isOurs }, index) => {
    const y = 52 + index * ROW;
    const width = Math.round(value * scale);
    return [
      `<text x="${LABEL_WIDTH - 12}" y="${y + 16}" text-anchor="end">${label}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="22" rx="3" fill="${isOurs ? '#2f7d6b' : '#9aa5ad'}"/>`,
      `<text x="${LABEL_WIDTH + width + 8}" y="${y + 16}">${Math.round(value).toLocaleString('en')}</text>`,
    ].join('\n  ');
  });
  const height = 64 + bars.length * ROW;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${title}">
  <style>text { font: 13px system-ui, sans-serif; fill: #6b757c } .title { font-size: 16px; font-weight: 600 }</style>
  <text class="title" x="16" y="28">${title} (${unit})</text>
  ${rows.join('\n  ')}
</svg>
`;
}

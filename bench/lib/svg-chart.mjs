const WIDTH = 760;
const LABEL_WIDTH = 230;
const VALUE_WIDTH = 110;
const BAR_HEIGHT = 20;
const STEP = 28;
const TOP = 44;
const MIN_BAR = 2;

/** @type {(text: string) => string} */
function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/**
 * Horizontal bars from zero; ours have another colour. Legible on light and dark pages.
 * @type {(chart: import('./section.mjs').Chart) => string}
 */
export function svgChart({ title, bars }) {
  const largest = Math.max(...bars.map(({ value }) => value), 0);
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const height = TOP + bars.length * STEP + 12;
  const lines = bars.map((bar, i) => barLines(bar, TOP + i * STEP, largest, room));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" rx="6" fill="#ffffff"/>`,
    '<g font-family="system-ui, sans-serif" font-size="13" fill="#24292f">',
    `<text x="16" y="26" font-size="14" font-weight="600">${escape(title)}</text>`,
    ...lines.flat(),
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

/**
 * @type {(bar: import('./section.mjs').Bar, y: number, largest: number, room: number) => string[]}
 */
function barLines({ label, value, text, ours }, y, largest, room) {
  const share = largest > 0 && Number.isFinite(value) ? Math.max(0, value) / largest : 0;
  const width = Math.max(MIN_BAR, share * room).toFixed(1);
  const middle = y + BAR_HEIGHT / 2 + 4.5;
  const weight = ours ? ' font-weight="600"' : '';
  const valueX = LABEL_WIDTH + Number(width) + 8;
  return [
    `<text x="${LABEL_WIDTH - 10}" y="${middle}" text-anchor="end"${weight}>${escape(label)}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2" fill="${ours ? '#0a7d4f' : '#9aa7b4'}"/>`,
    `<text x="${valueX.toFixed(1)}" y="${middle}"${weight}>${escape(text)}</text>`,
  ];
}

// Horizontal bars, on a terminal or as SVG. A dozen rectangles need no plotting library: the package would
// have megabytes of dependencies for the sake of one option.

/**
 * @typedef {{ label: string, value: number, note?: string }} Bar a note stands behind the value, in text only
 * @typedef {{ unit: string, bars: Bar[], most?: number }} Chart most: the value of a full bar, the largest without it
 */

const { printable } = require('../printable');

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const widest = 40; // characters of a bar; the eye compares no better over a whole screen

/** @param {Chart} chart */
const fullOf = ({ bars, most = Number.MIN_VALUE }) => Math.max(...bars.map((b) => b.value), most);

/** @param {number} value */
const short = (value) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3));

/** Lines of text. @param {Chart} chart @param {number} [columns] of the terminal */
function textBars(chart, columns = 80) {
  const { unit, bars } = chart;
  const full = fullOf(chart);
  const room = Math.max(...bars.map((b) => b.label.length));
  const tails = bars.map(({ value, note = '' }) => ` ${short(value)} ${unit}${note}`);
  const left = columns - room - 4 - Math.max(...tails.map((t) => t.length));
  const width = Math.max(0, Math.min(widest, left));
  return bars.map(({ label, value }, i) => {
    const units = Math.round((value / full) * width * 8);
    const bar = '█'.repeat(units >> 3) + eighths[units & 7];
    return `  ${label.padEnd(room)}  ${bar.padEnd(width)}${tails[i]}`;
  });
}

/** @param {string} text */
const escaped = (text) => printable(text).replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);

/** An SVG document. @param {string} title @param {Chart[]} charts one below the other */
function svg(title, charts) {
  const row = 26;
  const [left, wide, width] = [150, 420, 760];
  let y = 44;
  const parts = charts.flatMap((chart) => {
    const full = fullOf(chart);
    const lines = chart.bars.map(({ label, value }) => {
      const line = `<text x="${left - 10}" y="${y + 14}" text-anchor="end">${escaped(label)}</text>
<rect x="${left}" y="${y}" width="${((value / full) * wide).toFixed(1)}" height="18" rx="2" fill="#3b6ea5"/>
<text x="${(left + (value / full) * wide + 8).toFixed(1)}" y="${y + 14}">${short(value)} ${escaped(chart.unit)}</text>`;
      y += row;
      return line;
    });
    y += row / 2;
    return lines;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" font-family="sans-serif" font-size="13">
<rect width="${width}" height="${y}" fill="#fff"/>
<text x="16" y="24" font-size="15" font-weight="bold">${escaped(title)}</text>
${parts.join('\n')}
</svg>
`;
}

module.exports = { short, svg, textBars };

// Horizontal bars, on a terminal or as SVG. A dozen rectangles need no plotting library: the package would
// have megabytes of dependencies for the sake of one option.

/** @typedef {{ label: string, value: number }} Bar */

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** @param {Bar[]} bars */
const largest = (bars) => Math.max(...bars.map((b) => b.value), Number.MIN_VALUE);

/** @param {number} value */
const short = (value) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3));

/** Lines of text. @param {Bar[]} bars @param {string} unit @param {number} [width] characters of the longest bar */
function textBars(bars, unit, width = 40) {
  const room = Math.max(...bars.map((b) => b.label.length));
  const most = largest(bars);
  return bars.map(({ label, value }) => {
    const units = Math.round((value / most) * width * 8);
    const bar = '█'.repeat(units >> 3) + eighths[units & 7];
    return `  ${label.padEnd(room)}  ${bar.padEnd(width)} ${short(value)} ${unit}`;
  });
}

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);

/** An SVG document. @param {string} title @param {{ unit: string, bars: Bar[] }[]} charts one below the other */
function svg(title, charts) {
  const row = 26;
  const [left, wide, width] = [150, 420, 760];
  let y = 44;
  const parts = charts.flatMap(({ unit, bars }) => {
    const most = largest(bars);
    const lines = bars.map(({ label, value }) => {
      const line = `<text x="${left - 10}" y="${y + 14}" text-anchor="end">${escaped(label)}</text>
<rect x="${left}" y="${y}" width="${((value / most) * wide).toFixed(1)}" height="18" rx="2" fill="#3b6ea5"/>
<text x="${(left + (value / most) * wide + 8).toFixed(1)}" y="${y + 14}">${short(value)} ${escaped(unit)}</text>`;
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

module.exports = { textBars, svg };

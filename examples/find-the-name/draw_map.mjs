// A number of each head as an SVG picture: a row is a layer, a column a head; blue is above 0, orange below.
const [side, margin, top] = [34, 44, 64];

const escape = (text) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

export function drawMap(heads, { layers, numHeads, title }) {
  const largest = Math.max(...heads.map(({ value }) => Math.abs(value)), 1e-9);
  const [width, height] = [Math.max(margin + numHeads * side + 12, 9 * title.length), top + layers * side + 16];
  const text = (x, y, content, anchor = "middle") =>
    `<text x="${x}" y="${y}" text-anchor="${anchor}">${content}</text>`;
  const cells = heads.map(({ layer, head, value }) => {
    const [x, y] = [margin + head * side, top + layer * side];
    const colour = value >= 0 ? "#2f6fc4" : "#d9772b";
    const percent = (100 * value).toFixed(1);
    return (
      `<g><title>layer ${layer}, head ${head}: ${percent} %</title>` +
      `<rect x="${x}" y="${y}" width="${side - 1}" height="${side - 1}" fill="${colour}" fill-opacity="${(Math.abs(value) / largest).toFixed(3)}"/>` +
      `${text(x + side / 2, y + side / 2 + 4, (100 * value).toFixed(0))}</g>`
    );
  });
  const columns = Array.from({ length: numHeads }, (_, head) => text(margin + (head + 0.5) * side, top - 8, head));
  const rows = Array.from({ length: layers }, (_, layer) =>
    text(margin - 8, top + (layer + 0.5) * side + 4, layer, "end"),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
<text x="8" y="20" font-size="14">${escape(title)}, %</text>
<text x="8" y="38">rows: layers; columns: heads</text>
${[...columns, ...rows, ...cells].join("\n")}
</svg>
`;
}

// What the marks mean, the pictures, and the first drawing.
const counts = study.states.map((_, s) => study.state.filter((x) => x === s).length);
const told = ["on the front", "dominated", "ranked only, with less training", "beyond a limit"];
for (const kind of [FRONT, DOMINATED, RANKED, BEYOND]) {
  if (counts[kind]) {
    const swatch = svg("svg", {viewBox: "0 0 10 10", "aria-hidden": "true"}, svg("path", {class: `points ${MARKS[kind]}`, d: shape(kind, 5, 5).replace("h0", "h.1")}));
    ids("legend").append(html("li", {}, swatch, `${told[kind]}: ${whole.format(counts[kind])}`));
  }
}
if (counts[REFUSED]) ids("legend").append(html("li", {}, `refused, not drawn: ${whole.format(counts[REFUSED])}`));
ids("legend").append(html("li", {}, svg("svg", {viewBox: "0 0 10 10", "aria-hidden": "true"}, svg("path", {class: "stairs", d: "M0 2H5V8H10"})), "best of the front in these two alone"));
if (study.limits.length) ids("legend").append(html("li", {}, svg("svg", {viewBox: "0 0 10 10", "aria-hidden": "true"}, svg("path", {class: "limit", d: "M0 5H10"})), "limit"));

panel(ids("point"));
const drawn = counts.slice(0, REFUSED).some((n) => n > 0);
if (drawn) {
  const pairs = [];
  objectives.forEach((a, i) => objectives.slice(i + 1).forEach((b) => pairs.push([b, a])));
  const grid = html("div", {class: "pairs"});
  ids("pairs").append(grid);
  for (const [x, y] of pairs) {
    const holder = html("div", {class: "pair"});
    grid.append(holder);
    scatter(holder, 0.8, () => ({x, y, logX: x.decades, logY: y.decades}));
  }
  const axes = columns.filter((c) => c.some);
  const x = objectives.find((c) => c.key === "cycles") || objectives[0] || metrics[0];
  const y = metrics.find((c) => c.key === "utilisation" && c !== x) || metrics.find((c) => c !== x) || x;
  const set = {x, y, logX: x.decades, logY: y.decades};
  const control = () => {
    const choices = axes.map((c) => [c.key, c.title]);
    const able = (c) => !c.words && c.low > 0;
    const change = (name, log) => (key) => { set[name] = column(key); set[log] = set[name].decades; control(); redraw(); };
    ids("chosen-controls").replaceChildren(
      select("Across", choices, set.x.key, change("x", "logX")), ...(able(set.x) ? [check("log", set.logX, (on) => { set.logX = on; redraw(); })] : []),
      select("Up", choices, set.y.key, change("y", "logY")), ...(able(set.y) ? [check("log", set.logY, (on) => { set.logY = on; redraw(); })] : []));
  };
  control();
  scatter(ids("chosen"), (width) => Math.min(width * 0.8, 460), () => set);
  if (ids("map-view")) map(ids("map-controls"), ids("map-view"));
  parallel(ids("parallel-controls"), ids("parallel-view"));
} else {
  ids("pairs").append(html("p", {}, "No point was measured: all were refused, for the reasons below."));
}
table(ids("points-controls"), ids("points-view"));
redraw();

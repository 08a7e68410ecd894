// Two dimensions as a grid, coloured by the best of a metric over the others.
const map = (controls, holder) => {
  const listed = dimensions.filter((d) => d.values !== null && d.values.length > 0);
  const named = (key) => listed.find((d) => d.key === key);
  const set = {
    across: named("array.cols") && named("array.rows") ? named("array.cols") : listed[1],
    down: named("array.cols") && named("array.rows") ? named("array.rows") : listed[0],
    metric: objectives.find((m) => m.key !== "accuracy") || metrics[0],
    fixed: new Map(),
  };
  let cells = [], marks = null, now = null;

  const control = () => {
    const choices = (list) => list.map((c) => [c.key, c.title]);
    const change = (name, other) => (key) => {
      const before = set[name];
      set[name] = column(key);
      if (other && set[other] === set[name]) set[other] = before;
      set.fixed.clear(); control(); view.draw(); remark();
    };
    controls.replaceChildren(
      select("Colour", choices(metrics), set.metric.key, (key) => { set.metric = column(key); view.draw(); remark(); }),
      select("Down", choices(listed), set.down.key, change("down", "across")),
      select("Across", choices(listed), set.across.key, change("across", "down")),
      ...dimensions.filter((d) => d.values !== null && d.values.length > 1 && d !== set.down && d !== set.across).map((d) =>
        select(d.title, [["", "best of all"], ...d.values.map((v, i) => [i, String(v)])], set.fixed.get(d.key) ?? "", (v) => {
          if (v === "") set.fixed.delete(d.key); else set.fixed.set(d.key, Number(v));
          view.draw(); remark();
        })));
  };

  const best = () => { // of each cell the point to show, null where none was measured, and whether some was refused
    const grid = new Map(), m = set.metric, sign = m.more ? -1 : 1;
    for (let i = 0; i < count; i++) {
      if (!within(i) || [...set.fixed].some(([key, v]) => column(key).raw[i] !== column(key).values[v])) continue;
      const key = `${set.down.values.indexOf(set.down.raw[i])} ${set.across.values.indexOf(set.across.raw[i])}`;
      const cell = grid.get(key) || {shown: null, refused: false};
      grid.set(key, cell);
      const value = m.at(i);
      if (study.state[i] === REFUSED || value === null) { cell.refused = true; continue; }
      const old = cell.shown, beyond = study.state[i] === BEYOND, oldBeyond = old !== null && study.state[old] === BEYOND;
      // Of equally good ones that of the front.
      if (old === null || (oldBeyond && !beyond) || (oldBeyond === beyond &&
          (sign * value < sign * m.at(old) || (value === m.at(old) && study.state[i] === FRONT && study.state[old] !== FRONT)))) cell.shown = i;
    }
    return grid;
  };

  const room = (width) => {
    const left = 16 + 8 * Math.min(14, Math.max(...set.down.values.map((v) => String(v).length), set.down.title.length * 0.9));
    const side = Math.min((width - left - 4) / set.across.values.length, 64);
    return {left, side, tall: Math.max(Math.min(side, 34, 560 / set.down.values.length), 7)};
  };
  const view = canvas(holder, (width) => 84 + room(width).tall * set.down.values.length, (width, height) => {
    const {left, side, tall} = room(width), top = 24;
    const grid = best(), m = set.metric;
    const shown = [...grid.values()].filter((c) => c.shown !== null).map((c) => m.at(c.shown));
    const low = Math.min(...shown), high = Math.max(...shown), log = low > 0 && high / low >= 8;
    const share = (v) => high === low ? 1 : log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low);
    const colour = (s) => `color-mix(in oklab, var(--solid) ${Math.round(6 + 94 * s)}%, var(--panel))`;
    const bottom = top + tall * set.down.values.length, right = left + side * set.across.values.length;
    const title = `best ${m.title} by ${set.down.title} and ${set.across.title}`;
    const root = svg("svg", {class: "view map", viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": `${title}; arrow keys go from cell to cell`,
      onkeydown: step, onpointerleave: () => point(null)}, svg("title", {}, title));
    const every = (size, text) => Math.ceil(text / size) || 1;
    const skipX = every(side, 10 + 7 * Math.max(...set.across.values.map((v) => String(v).length))), skipY = every(tall, 14);
    set.across.values.forEach((v, i) => { if (i % skipX === 0) root.append(svg("text", {class: "head", x: place(left + side * (i + 0.5)), y: bottom + 16, "text-anchor": "middle"}, String(v))); });
    set.down.values.forEach((v, i) => { if (i % skipY === 0) root.append(svg("text", {class: "head", x: left - 6, y: place(top + tall * (i + 0.5) + 4), "text-anchor": "end"}, String(v))); });
    root.append(svg("text", {class: "head", x: 0, y: 14}, `${set.down.title} ↓`), svg("text", {class: "head", x: place(right), y: bottom + 34, "text-anchor": "end"}, `${set.across.title} →`));
    cells = [];
    set.down.values.forEach((_, r) => set.across.values.forEach((_, c) => {
      const cell = grid.get(`${r} ${c}`), x = place(left + side * c), y = place(top + tall * r), w = place(side), h = place(tall);
      if (!cell || cell.shown === null) {
        root.append(svg("rect", {class: "cell-none", x: x + 0.5, y: y + 0.5, width: Math.max(w - 1, 1), height: Math.max(h - 1, 1)}));
        if (cell) root.append(svg("path", {class: "cell-refused", d: `M${x + w / 3} ${y + h / 3}l${w / 3} ${h / 3}m0 ${-h / 3}l${-w / 3} ${h / 3}`}));
        return;
      }
      const i = cell.shown, s = share(m.at(i));
      cells.push({r, c, i});
      root.append(svg("rect", {class: "cell", x, y, width: w, height: h, style: `fill: ${colour(m.more ? s : 1 - s)}`, onpointerenter: () => point(i), onclick: () => keep(i)}));
      if (study.state[i] === FRONT) root.append(svg("rect", {class: "cell-front", x: x + 2, y: y + 2, width: Math.max(w - 4, 1), height: Math.max(h - 4, 1), "pointer-events": "none"}));
      if (study.state[i] === BEYOND) root.append(svg("path", {class: "points beyond-mark", d: shape(BEYOND, place(x + w / 2), place(y + h / 2)), "pointer-events": "none"}));
    }));
    if (shown.length) { // the scale, worst to best
      const steps = 24, y = bottom + 44, from = m.more ? low : high, to = m.more ? high : low;
      const a = number(from), b = number(to), x0 = 8 + 7.5 * a.length;
      for (let k = 0; k < steps; k++) root.append(svg("rect", {x: place(x0 + 5 * k), y, width: 5.5, height: 10, style: `fill: ${colour(k / (steps - 1))}`}));
      root.append(svg("text", {class: "head", x: x0 - 6, y: y + 10, "text-anchor": "end"}, a), svg("text", {class: "head", x: x0 + 5 * steps + 6, y: y + 10}, `${b}${log ? ", log" : ""}`));
    }
    marks = svg("g", {class: "marks", "pointer-events": "none"});
    root.append(marks);
    view.frame = (i, css) => {
      const r = set.down.values.indexOf(set.down.raw[i]), c = set.across.values.indexOf(set.across.raw[i]);
      if (r >= 0 && c >= 0) marks.append(svg("rect", {class: css, x: place(left + side * c), y: place(top + tall * r), width: place(side), height: place(tall)}));
    };
    const focused = holder.contains(document.activeElement);
    holder.replaceChildren(root);
    if (focused) root.focus({preventScroll: true});
  });
  const step = (event) => {
    const by = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0]}[event.key];
    if (event.key === "Enter" || event.key === " ") { if (state.hover !== null) keep(state.hover); }
    else if (by && cells.length) {
      now = cells.find((c) => c.i === state.hover) || null;
      let next = null;
      for (const c of cells) { // the nearest cell on that way
        const far = now && (by[0] ? (c.c === now.c ? by[0] * (c.r - now.r) : 0) : c.r === now.r ? by[1] * (c.c - now.c) : 0);
        if (now && far > 0 && (!next || far < next.far)) next = {...c, far};
      }
      point((next || now || cells[0]).i);
    } else return;
    event.preventDefault();
  };
  view.mark = () => {
    marks.replaceChildren();
    if (state.kept !== null) view.frame(state.kept, "pin");
    if (state.hover !== null) view.frame(state.hover, "hit");
  };
  control();
  views.push(view);
};

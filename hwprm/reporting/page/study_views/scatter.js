// Two columns against each other.
const shape = (kind, x, y) => kind === BEYOND ? `M${x - 3} ${y - 3}l6 6m0 -6l-6 6` : kind === RANKED ? `M${x - 3} ${y}h6m-3 -3v6` : `M${x} ${y}h0`;

const MANY = 2000;

const scatter = (holder, ratio, choose) => {
  let spots = [], marks = null;
  const near = (event, root, width) => {
    const box = root.getBoundingClientRect(), scale = width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    let best = null, least = 20;
    for (const [i, px, py] of spots) { // points of the front come first where others lie as near
      const apart = Math.hypot(px - x, py - y) + (study.state[i] === FRONT ? 0 : 1.5);
      if (apart < least) { least = apart; best = i; }
    }
    return best;
  };
  const step = (event) => {
    if (event.key === "Enter" || event.key === " ") {
      if (state.hover !== null) keep(state.hover);
    } else if (["ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"].includes(event.key)) {
      const order = spots.filter(([i]) => study.state[i] === FRONT);
      const list = (order.length ? order : spots).slice().sort((a, b) => a[1] - b[1] || a[2] - b[2]).map(([i]) => i);
      if (!list.length) return;
      const now = list.indexOf(state.hover), by = event.key === "ArrowRight" || event.key === "ArrowUp" ? 1 : -1;
      point(list[now < 0 ? 0 : (now + by + list.length) % list.length]);
    } else return;
    event.preventDefault();
  };
  // What no other point of the front beats in these two alone, as a line with corners.
  const stairs = (x, y, xAxis, yAxis) => {
    if (x.more === null || y.more === null || x === y) return "";
    const sx = x.more ? -1 : 1, sy = y.more ? -1 : 1;
    const all = spots.filter(([i]) => study.state[i] === FRONT);
    const sorted = all.map(([i]) => [x.at(i), y.at(i)]).sort((a, b) => sx * (a[0] - b[0]) || sy * (a[1] - b[1]));
    let path = "", best = Infinity;
    for (const [vx, vy] of sorted) {
      if (sy * vy < best) {
        const px = place(xAxis.at(vx)), py = place(yAxis.at(vy));
        path += path ? `H${px}V${py}` : `M${px} ${py}`;
        best = sy * vy;
      }
    }
    return path;
  };
  const view = canvas(holder, ratio, (width, height) => {
    const {x, y, logX, logY} = choose();
    const left = 50, right = width - 12, top = 26, bottom = height - 42;
    const limits = (c) => study.limits.filter((goal) => goal.metric === c.key);
    const xAxis = axis(x, logX, left, right, limits(x).map((g) => g.value));
    const yAxis = axis(y, logY, bottom, top, limits(y).map((g) => g.value));
    spots = [];
    const paths = ["", "", "", ""];
    let out = "";
    const taken = new Set(); // of many points one of a kind for each pixel
    for (let i = 0; i < count; i++) {
      const vx = x.at(i), vy = y.at(i), kind = study.state[i];
      if (vx === null || vy === null || kind === REFUSED || (logX && vx <= 0) || (logY && vy <= 0)) continue;
      const px = place(xAxis.at(vx)), py = place(yAxis.at(vy));
      if (!within(i)) { out += `M${px} ${py}h0`; continue; }
      spots.push([i, px, py]);
      if (count > MANY) {
        const pixel = `${kind} ${Math.round(px)} ${Math.round(py)}`;
        if (taken.has(pixel)) continue;
        taken.add(pixel);
      }
      paths[kind] += shape(kind, px, py);
    }
    const title = `${y.title} against ${x.title}`;
    const root = svg("svg", {
      class: "view scatter", viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img", "data-drawn": spots.length,
      "aria-label": `${title}, ${spots.length} points; arrow keys go along the front`, onkeydown: step,
      onpointermove: (e) => point(near(e, root, width)), onpointerleave: () => point(null),
      onclick: (e) => { const i = near(e, root, width); if (i !== null) keep(i); },
    }, svg("title", {}, title), svg("rect", {class: "plot", x: left, y: top, width: right - left, height: bottom - top}));
    let last = -Infinity;
    for (const [value, text] of xAxis.marks) {
      const at = place(xAxis.at(value));
      root.append(svg("path", {class: "axis grid", d: `M${at} ${top}V${bottom}`}));
      if (at - last < 14 + 6.5 * text.length) continue;
      last = at;
      root.append(svg("text", {class: "head", x: at, y: bottom + 16, "text-anchor": "middle"}, text));
    }
    last = Infinity;
    for (const [value, text] of yAxis.marks) {
      const at = place(yAxis.at(value));
      root.append(svg("path", {class: "axis grid", d: `M${left} ${at}H${right}`}));
      if (last - at < 14) continue;
      last = at;
      root.append(svg("text", {class: "head", x: left - 6, y: at + 4, "text-anchor": "end"}, text));
    }
    root.append(
      svg("text", {class: "head", x: right, y: height - 8, "text-anchor": "end"}, better(x, "→", "←") + (logX ? ", log" : "")),
      svg("text", {class: "head", x: 0, y: 14}, better(y, "↑", "↓") + (logY ? ", log" : "")));
    for (const [c, scale, upright] of [[x, xAxis, true], [y, yAxis, false]]) {
      for (const goal of limits(c)) {
        if (goal.value < scale.low || goal.value > scale.high) continue;
        const at = place(scale.at(goal.value)), text = `${goal.most ? "at most" : "at least"} ${number(goal.value)}`;
        root.append(svg("path", {class: "limit", d: upright ? `M${at} ${top}V${bottom}` : `M${left} ${at}H${right}`}));
        const end = upright && at > (left + right) / 2;
        root.append(svg("text", {class: "limit-text", x: upright ? at + (end ? -4 : 4) : right - 4, y: upright ? top + 14 : at - 4, "text-anchor": end || !upright ? "end" : "start"}, text));
      }
    }
    if (out) root.append(svg("path", {class: "points out-mark", d: out}));
    for (const kind of [DOMINATED, BEYOND, RANKED]) if (paths[kind]) root.append(svg("path", {class: `points ${MARKS[kind]}`, d: paths[kind]}));
    const line = stairs(x, y, xAxis, yAxis);
    if (line) root.append(svg("path", {class: "stairs", d: line}));
    if (paths[FRONT]) root.append(svg("path", {class: `points ${MARKS[FRONT]}`, d: paths[FRONT]}));
    marks = svg("g", {class: "marks"});
    root.append(marks);
    view.where = (i) => {
      const vx = x.at(i), vy = y.at(i);
      return vx === null || vy === null || (logX && vx <= 0) || (logY && vy <= 0) ? null : [place(xAxis.at(vx)), place(yAxis.at(vy))];
    };
    const focused = holder.contains(document.activeElement);
    holder.replaceChildren(root);
    if (focused) root.focus({preventScroll: true});
  });
  view.mark = () => {
    marks.replaceChildren();
    for (const [i, css, r] of [[state.kept, "pin", 8], [state.hover, "hit", 6.5]]) {
      const at = i === null ? null : view.where(i);
      if (at) marks.append(svg("circle", {class: css, cx: at[0], cy: at[1], r}));
    }
  };
  views.push(view);
};

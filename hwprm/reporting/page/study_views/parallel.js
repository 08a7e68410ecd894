// All dimensions and chosen metrics side by side, a line for each point.
const LINES = 2000; // most lines of dominated points

const parallel = (controls, holder) => {
  const limited = new Set(study.limits.map((goal) => goal.metric));
  const chosen = new Set(metrics.filter((m) => objectives.includes(m) || limited.has(m.key)).map((m) => m.key));
  let marks = null, note = null, where = [];

  const control = () => {
    note = html("span", {role: "status"});
    controls.replaceChildren(
      html("details", {}, html("summary", {}, "Metrics"), html("fieldset", {}, metrics.map((m) => check(m.title, chosen.has(m.key), (on) => {
        if (on) chosen.add(m.key); else { chosen.delete(m.key); state.brushes.delete(m.key); }
        redraw();
      })))),
      html("button", {type: "button", onclick: () => { state.brushes.clear(); redraw(); }}, "Drop all ranges"), note);
  };
  const axes = () => [...dimensions.filter((d) => d.some), ...metrics.filter((m) => chosen.has(m.key))];
  const view = canvas(holder, 1, (given) => {
    const list = axes(), width = Math.max(given, 92 * list.length), height = 340, top = 46, bottom = height - 12;
    const step = list.length > 1 ? (width - 92) / (list.length - 1) : 0;
    const scales = list.map((c) => axis(c, c.decades, bottom, top));
    const at = (k) => place(46 + step * k);
    const line = (i) => {
      let path = "", pen = "M";
      list.forEach((c, k) => {
        const v = c.at(i);
        if (v === null) { pen = "M"; return; }
        path += `${pen}${at(k)} ${place(scales[k].at(v))}`;
        pen = "L";
      });
      return path;
    };
    view.line = line;
    const paths = ["", "", "", ""], many = [];
    let out = "", inside = 0;
    where = [];
    for (let i = 0; i < count; i++) {
      if (study.state[i] === REFUSED) continue;
      if (within(i)) { inside += 1; if (study.state[i] === FRONT) { paths[FRONT] += line(i); where.push(i); } else many.push(i); }
    }
    const every = Math.max(1, Math.ceil(many.length / LINES));
    many.forEach((i, k) => { if (k % every === 0) { paths[study.state[i]] += line(i); where.push(i); } });
    if (count <= LINES) for (let i = 0; i < count; i++) if (study.state[i] !== REFUSED && !within(i)) out += line(i);
    const measured = study.state.filter((s) => s !== REFUSED).length, left = many.length - Math.ceil(many.length / every);
    note.textContent = `${whole.format(inside)} of ${whole.format(measured)} measured points in the ranges` + (left ? `; ${whole.format(left)} lines of points off the front are not drawn` : "");
    const near = (event) => {
      const box = root.getBoundingClientRect(), scale = width / box.width;
      const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
      const k = Math.min(Math.max(Math.floor((x - 46) / (step || 1)), 0), Math.max(list.length - 2, 0)), far = step ? (x - at(k)) / step : 0;
      let found = null, least = 8;
      for (const i of where) {
        const a = list[k].at(i), b = list[Math.min(k + 1, list.length - 1)].at(i);
        if (a === null || b === null) continue;
        const ya = scales[k].at(a), yb = scales[Math.min(k + 1, list.length - 1)].at(b);
        const apart = Math.abs(ya + (yb - ya) * far - y);
        if (apart < least) { least = apart; found = i; }
      }
      return found;
    };
    const root = svg("svg", {class: "view parallel", viewBox: `0 0 ${width} ${height}`, style: `min-width: ${width}px`, role: "group", "aria-label": "Every point as a line over all axes", "data-drawn": where.length,
      onpointermove: (e) => { if (!dragging) point(near(e)); }, onpointerleave: () => point(null),
      onclick: (e) => { if (e.target.classList.contains("axis-hit")) return; const i = near(e); if (i !== null) keep(i); }}, svg("title", {}, "Parallel coordinates"));
    let dragging = null;
    if (out) root.append(svg("path", {class: "lines out-mark", d: out}));
    for (const kind of [DOMINATED, BEYOND, RANKED, FRONT]) if (paths[kind]) root.append(svg("path", {class: `lines ${MARKS[kind]}`, d: paths[kind]}));
    marks = svg("g", {class: "marks", "pointer-events": "none"});
    root.append(marks);
    list.forEach((c, k) => {
      const scale = scales[k], x = at(k), brush = state.brushes.get(c.key);
      root.append(svg("path", {class: "axis-line", d: `M${x} ${top}V${bottom}`}));
      let last = Infinity;
      for (const [value, text] of scale.marks) {
        const y = place(scale.at(value));
        if (Math.abs(last - y) < 15) continue;
        last = y;
        root.append(svg("path", {class: "axis-line", d: `M${x - 3} ${y}h6`}), svg("text", {class: "head", x: x + 6, y: y + 4}, text));
      }
      // A long title on two lines.
      const words = c.title.split(/(?<=[ _/])/), half = [""];
      for (const word of words) if ((half[half.length - 1] + word).trim().length > 13 && half[half.length - 1]) half.push(word); else half[half.length - 1] += word;
      half.slice(0, 2).forEach((text, row, all) => root.append(svg("text", {class: "head", x, y: 14 + 14 * (row + 2 - all.length), "text-anchor": "middle"}, text.trim())));
      if (brush) {
        const [y0, y1] = [scale.at(Math.min(Math.max(brush[1], scale.low), scale.high)), scale.at(Math.max(Math.min(brush[0], scale.high), scale.low))];
        root.append(svg("rect", {class: "brush", x: x - 8, y: place(Math.min(y0, y1)), width: 16, height: place(Math.max(Math.abs(y1 - y0), 2))}));
      }
      // Shares of the axis from its lower end, and the value there.
      const value = (share) => {
        if (c.words) return share * (c.values.length) - 0.5;
        return c.decades ? scale.low * (scale.high / scale.low) ** share : scale.low + (scale.high - scale.low) * share;
      };
      const share = (v) => (bottom - scale.at(v)) / (bottom - top);
      const from = (event) => { const box = root.getBoundingClientRect(); return Math.min(Math.max((bottom - (event.clientY - box.top) * height / box.height) / (bottom - top), 0), 1); };
      const range = (a, b) => {
        if (b - a < 0.015) state.brushes.delete(c.key); else state.brushes.set(c.key, [value(a), value(b)]);
        redraw();
      };
      const hit = svg("rect", {class: "axis-hit", x: x - 12, y: top - 6, width: 24, height: bottom - top + 12, tabindex: 0, role: "slider", "data-key": c.key,
        "aria-label": `Range of ${c.title}`, "aria-orientation": "vertical", "aria-valuenow": Math.round(100 * (brush ? Math.max(share(brush[0]), 0) : 0)), "aria-valuemin": 0, "aria-valuemax": 100,
        "aria-valuetext": brush ? `${number(brush[0])} to ${number(brush[1])}` : "all",
        onpointerdown: (e) => { dragging = from(e); hit.setPointerCapture(e.pointerId); },
        onpointerup: (e) => { if (dragging !== null) { const end = from(e), start = dragging; dragging = null; range(Math.min(start, end), Math.max(start, end)); } },
        onpointercancel: () => { dragging = null; },
        onpointermove: (e) => {
          if (dragging === null) return;
          const ends = [from(e), dragging].sort((a, b) => a - b), y = bottom - ends[1] * (bottom - top);
          let shown = root.querySelector(".brush.drawing");
          if (!shown) { shown = svg("rect", {class: "brush drawing", x: x - 8, width: 16}); root.append(shown); }
          shown.setAttribute("y", place(y));
          shown.setAttribute("height", place((ends[1] - ends[0]) * (bottom - top)));
        },
        onkeydown: (e) => {
          let [a, b] = brush ? brush.map((v) => share(Math.min(Math.max(v, scale.low), scale.high))) : [0, 1];
          if (c.words && brush) [a, b] = brush.map((v) => (v + 0.5) / c.values.length);
          const by = c.words ? 1 / c.values.length : 0.05;
          if (e.key === "ArrowUp") { if (e.shiftKey) b = Math.min(b + by, 1); else a = Math.min(a + by, b - 0.02); }
          else if (e.key === "ArrowDown") { if (e.shiftKey) a = Math.max(a - by, 0); else b = Math.max(b - by, a + 0.02); }
          else if ((e.key === "Escape" || e.key === "Delete") && brush) { [a, b] = [0, 0]; }
          else return;
          e.preventDefault();
          range(a, b);
        }}, svg("title", {}, `${c.title}: drag to choose a range`));
      root.append(hit);
    });
    const focused = document.activeElement && holder.contains(document.activeElement) ? document.activeElement.getAttribute("data-key") : null;
    holder.replaceChildren(root);
    if (focused) [...root.querySelectorAll(".axis-hit")].find((e) => e.getAttribute("data-key") === focused)?.focus({preventScroll: true});
  });
  view.mark = () => {
    marks.replaceChildren();
    for (const [i, css] of [[state.kept, "pin"], [state.hover, "hit"]]) if (i !== null && study.state[i] !== REFUSED) marks.append(svg("path", {class: css, d: view.line(i)}));
  };
  control();
  views.push(view);
};

// The front as a table, all points by a switch; and the point that is pointed at or kept, in full.
const ROWS = 500; // most rows at once

const table = (controls, holder) => {
  const set = {by: objectives[0] ? objectives[0].key : "number", down: objectives[0] ? objectives[0].more : false, all: false, rows: ROWS};
  const note = html("span", {role: "status"});
  const more = html("button", {type: "button", onclick: () => { set.rows += ROWS; view.draw(); remark(); }}, "More rows");
  const slot = html("span", {});
  controls.replaceChildren(check("Points off the front too", false, (on) => { set.all = on; set.rows = ROWS; view.draw(); remark(); }), note, slot);
  const heads = [{key: "number", title: "number", at: (i) => study.number[i], raw: study.number}, ...columns.filter((c) => c.some), {key: "state", title: "state", at: (i) => study.state[i], raw: null}];
  let byPoint = new Map(), marked = [];
  const view = {
    draw() {
      const head = heads.find((h) => h.key === set.by), sign = set.down ? -1 : 1;
      const all = [];
      for (let i = 0; i < count; i++) if ((set.all || study.state[i] === FRONT) && within(i)) all.push(i);
      all.sort((a, b) => {
        const x = head.at(a), y = head.at(b);
        return x === null ? (y === null ? a - b : 1) : y === null ? -1 : sign * (x - y) || a - b;
      });
      const list = all.slice(0, set.rows);
      note.textContent = list.length < all.length ? `${whole.format(list.length)} of ${whole.format(all.length)} rows; points.csv has all` : `${whole.format(all.length)} rows`;
      slot.replaceChildren(...(list.length < all.length ? [more] : []));
      byPoint = new Map();
      const cell = (h, i) => {
        if (h.key === "state") return html("td", {class: study.state[i] === FRONT ? "state-front" : study.why[i] ? "why" : null}, study.why[i] ? `refused: ${study.why[i]}` : study.states[study.state[i]]);
        if (h.key === "number") return html("th", {scope: "row", class: "number"}, String(study.number[i]));
        return html("td", {class: "number"}, number(h.raw[i]));
      };
      const sort = (h) => () => {
        if (set.by === h.key) set.down = !set.down; else { set.by = h.key; set.down = Boolean(h.more); }
        view.draw(); remark();
        holder.querySelector(`th[aria-sort] button`).focus();
      };
      const made = html("table", {class: "data"}, html("thead", {}, html("tr", {}, heads.map((h) =>
        html("th", {scope: "col", class: h.key === "state" ? null : "number", "aria-sort": set.by === h.key ? (set.down ? "descending" : "ascending") : null},
          html("button", {type: "button", onclick: sort(h)}, h.title + (set.by === h.key ? (set.down ? " ▾" : " ▴") : "")))))),
      html("tbody", {}, list.map((i, k) => {
        const row = html("tr", {tabindex: k ? -1 : 0, "data-number": study.number[i], onpointerenter: () => point(i), onpointerleave: () => point(null), onclick: () => keep(i), onfocus: () => point(i), onkeydown: keys(i)}, heads.map((h) => cell(h, i)));
        byPoint.set(i, row);
        return row;
      })));
      holder.replaceChildren(made);
    },
    mark() {
      for (const row of marked) row.classList.remove("hit-row", "pin-row");
      marked = [];
      for (const [i, css] of [[state.hover, "hit-row"], [state.kept, "pin-row"]]) {
        const row = i === null ? null : byPoint.get(i);
        if (row) { row.classList.add(css); marked.push(row); }
      }
    },
  };
  const keys = (i) => (event) => {
    const row = event.currentTarget;
    const next = {ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling}[event.key];
    if (event.key === "Enter" || event.key === " ") keep(i);
    else if (next) { row.tabIndex = -1; next.tabIndex = 0; next.focus(); } else return;
    event.preventDefault();
  };
  views.push(view);
};

const panel = (holder) => {
  const pair = (name, value) => html("div", {}, html("dt", {}, name), html("dd", {}, value));
  views.push({
    draw() {},
    mark() {
      const i = state.hover ?? state.kept;
      holder.hidden = i === null;
      holder.classList.toggle("kept", i !== null && i === state.kept);
      if (i === null) { holder.replaceChildren(); return; }
      const kept = i === state.kept;
      const build = study.state[i] === REFUSED ? [] : [html("code", {}, `hwprm explore STUDY --build ${study.number[i]} -o best`)];
      holder.replaceChildren(
        html("p", {}, html("strong", {}, `Point ${study.number[i]}`), html("span", {}, study.states[study.state[i]]),
          ...(kept ? [...build, html("span", {class: "note"}, "STUDY is the study's folder"), html("button", {type: "button", onclick: () => keep(i)}, "Let go")] : [])),
        html("dl", {}, columns.map((c) => c.raw[i] === null || c.raw[i] === undefined ? [] : [pair(c.title, number(c.raw[i]))]).flat(), study.why[i] ? [pair("why", study.why[i])] : []));
    },
  });
};

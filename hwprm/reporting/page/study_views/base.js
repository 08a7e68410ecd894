// The study, what is pointed at, kept and brushed, and small tools. Text of the study gets into the page as text alone.
const study = JSON.parse(document.getElementById("data").textContent);
const count = study.number.length;
const [FRONT, DOMINATED, RANKED, BEYOND, REFUSED] = study.states.keys();
const DECADES = 20; // highest over lowest, from which on an axis is logarithmic
const MARKS = ["front-mark", "dominated-mark", "ranked-mark", "beyond-mark"];
const ids = (id) => document.getElementById(id);

// A column is a dimension or a metric; of one with listed values that are no numbers the place in the list is drawn.
const columns = [
  ...study.dimensions.map((d, i) => ({...d, raw: study.options[i], dimension: true, more: null})),
  ...study.metrics.map((m, i) => ({...m, raw: study.values[i], dimension: false, values: null})),
];
for (const column of columns) {
  column.words = column.values !== null && column.values.some((v) => typeof v !== "number");
  const places = column.words ? new Map(column.values.map((v, i) => [v, i])) : null;
  column.at = (i) => (places ? places.get(column.raw[i]) ?? null : column.raw[i] ?? null);
  const there = column.raw.map((_, i) => column.at(i)).filter((v) => v !== null);
  // Not Math.min(...there): arguments have an end.
  column.low = there.reduce((a, b) => Math.min(a, b), Infinity);
  column.high = there.reduce((a, b) => Math.max(a, b), -Infinity);
  column.some = there.length > 0;
  column.decades = column.some && column.low > 0 && column.high / column.low >= DECADES;
}
const column = (key) => columns.find((c) => c.key === key);
const metrics = columns.filter((c) => !c.dimension && c.some);
const dimensions = columns.filter((c) => c.dimension);
const objectives = study.objectives.map(column).filter((c) => c && c.some);

const state = {hover: null, kept: null, brushes: new Map()};
const views = []; // each {draw(), mark()}
const within = (i) => [...state.brushes].every(([key, [low, high]]) => {
  const value = column(key).at(i);
  return value !== null && value >= low && value <= high;
});
const redraw = () => { for (const view of views) view.draw(); remark(); };
const remark = () => { for (const view of views) view.mark(); };
const point = (i) => { if (state.hover !== i) { state.hover = i; remark(); } };
const keep = (i) => { state.kept = state.kept === i ? null : i; state.hover = i; remark(); };
// A point is clicked or entered on; a kept one is let go by the same or by Escape.
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented) { state.kept = state.hover = null; remark(); }
});

// Elements of the page and of pictures.
const build = (made, attributes, children) => {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat());
  return made;
};
const html = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const select = (label, choices, chosen, change) => html("label", {}, label, html("select", {onchange: (e) => change(e.target.value)},
  choices.map(([value, text]) => html("option", {value, selected: String(value) === String(chosen)}, text))));
const check = (label, on, change) => html("label", {}, html("input", {type: "checkbox", checked: on, onchange: (e) => change(e.target.checked)}), label);

// Numbers.
const whole = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const compact = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 4});
const short = new Intl.NumberFormat("en", {maximumSignificantDigits: 5});
const number = (v) => v === null || v === undefined ? "–" : typeof v !== "number" ? String(v) : Number.isInteger(v) ? whole.format(v) : short.format(v);
const tick = (v) => Math.abs(v) >= 10000 ? compact.format(v) : short.format(v);
const place = (v) => Math.round(v * 10) / 10;

// An axis from the least to the most pixel: round marks, and where a value lies.
const roundStep = (span, marks) => {
  const rough = span / marks, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((f) => f * power).find((step) => step >= rough * 0.999);
};
const axis = (c, log, from, to, extra = []) => {
  if (c.words) {
    const last = Math.max(c.values.length - 1, 1), room = 1 / (last + 1);
    const at = (v) => from + (to - from) * (c.values.length === 1 ? 0.5 : room / 2 + (1 - room) * v / last);
    return {at, marks: c.values.map((v, i) => [i, String(v)]), low: 0, high: last};
  }
  let low = c.low, high = c.high;
  for (const value of extra) { // a limit far away would press all points together
    if (log ? value > 0 && value > low / 10 && value < high * 10 : value > low - (high - low) && value < high + (high - low)) {
      low = Math.min(low, value); high = Math.max(high, value);
    }
  }
  const room = Math.max(2, Math.floor(Math.abs(to - from) / 62));
  let marks = [];
  if (log) {
    [low, high] = low === high ? [low / 2, high * 2] : [low / 1.08, high * 1.08];
    const decades = Math.log10(high / low), factors = decades * 3 <= room + 1 ? [1, 2, 5] : [1];
    const every = Math.max(1, Math.ceil(decades / room));
    for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p += 1) {
      if (p % every === 0) for (const f of factors) if (f * 10 ** p >= low && f * 10 ** p <= high) marks.push(f * 10 ** p);
    }
    const at = (v) => from + (to - from) * Math.log(v / low) / Math.log(high / low);
    return {at, marks: marks.map((v) => [v, tick(v)]), low, high};
  }
  const pad = (high - low) * 0.04 || Math.abs(high) * 0.1 || 1;
  low -= pad; high += pad;
  const at = (v) => from + (to - from) * (v - low) / (high - low);
  if (c.values && c.values.length && c.values.length <= 20) return {at, marks: c.values.map((v) => [v, tick(v)]), low, high};
  const step = roundStep(high - low, Math.min(room, 6));
  for (let k = Math.ceil(low / step); k * step <= high; k++) marks.push(Number((k * step).toPrecision(12)));
  return {at, marks: marks.map((v) => [v, tick(v)]), low, high};
};
const better = (c, along, against) => c.more === null || c.more === undefined ? c.title : `${c.title} (${c.more ? along : against} better)`;

// A picture as wide as its place; drawn again when that changes.
const canvas = (holder, ratio, draw) => {
  let width = 0;
  const view = {
    draw() {
      width = Math.max(240, Math.floor(holder.clientWidth));
      draw(width, Math.round(typeof ratio === "function" ? ratio(width) : width * ratio));
    },
  };
  new ResizeObserver(() => { if (Math.floor(holder.clientWidth) !== width && holder.clientWidth >= 240) { view.draw(); remark(); } }).observe(holder);
  return view;
};

"use strict";
// Reads the report's data (page_data.cpp writes it) and draws it. Times are in ticks of 100 ns.

const report = JSON.parse(document.getElementById("data").textContent);
const tags = report.tags.map(([name, inStep], number) => ({ name, inStep, number }));
const stepTags = tags.filter(tag => tag.inStep);
const kTicksPerMs = 1e4;
const kRowsShown = 12;
const kMargin = { left: 58, right: 14, top: 26, bottom: 34 };

// ---- the data ------------------------------------------------------------------------------------------------------

/** One recording with differences summed up: what is alive after each event, and the life of each allocation. */
function decode(recording, series) {
  const count = recording.events.length;
  const time = new Float64Array(count + 1);
  const live = tags.map(() => new Float64Array(count + 1)); // [tag][events]: bytes after so many events
  const step = new Float64Array(count + 1);
  const allocations = [];
  recording.events.forEach((event, e) => {
    time[e + 1] = time[e] + recording.times[e];
    for (const tag of tags) live[tag.number][e + 1] = live[tag.number][e];
    if (event >= 0) allocations.push({ kind: recording.kinds[event], begin: e, end: Infinity });
    const allocation = event >= 0 ? allocations[allocations.length - 1] : allocations[allocations.length + event];
    if (event < 0) allocation.end = e;
    const [tag, , , , bytes] = allocation.kind;
    live[tag][e + 1] += event >= 0 ? bytes : -bytes;
    step[e + 1] = step[e] + (tags[tag].inStep ? live[tag][e + 1] - live[tag][e] : 0);
  });
  const spans = [];
  for (let at = 0, tick = 0, event = 0; at < recording.spans.length; at += 6) {
    const [node, kind, ticks, events, length, happened] = recording.spans.slice(at, at + 6);
    tick += ticks;
    event += events;
    spans.push({ node, kind, begin: tick, end: tick + length, beginEvent: event, endEvent: event + happened });
  }
  return { ...recording, series, count, time, live, step, allocations, spans };
}

const recordings = report.recordings.map(decode);
const longest = Math.max(...recordings.map(r => r.end), 1);

function nodeName(recording, node) {
  const [op, scope] = recording.nodes[node];
  return report.texts[op] + (report.texts[scope] ? " of " + report.texts[scope] : "");
}

function allocationName(allocation) {
  const [, op, scope] = allocation.kind;
  return [report.texts[scope], report.texts[op]].filter(Boolean).join(" · ") || "–";
}

/** The innermost span of a moment: where its event happened or, between events, what ran at that time. */
function spanAt(recording, moment) {
  let found = null;
  for (const span of recording.spans) {
    if (moment.exact ? span.beginEvent < moment.events && moment.events <= span.endEvent
                     : span.begin <= moment.time && moment.time < span.end) found = span;
  }
  return found;
}

function phaseAt(recording, moment) {
  const begun = recording.phases.filter(([, time, events]) => (moment.exact ? events < moment.events : time <= moment.time));
  return (begun[begun.length - 1] || recording.phases[0])[0];
}

// ---- texts ---------------------------------------------------------------------------------------------------------

const kUnits = [["B", 1], ["KiB", 1024], ["MiB", 1024 ** 2], ["GiB", 1024 ** 3]];

/** As format_bytes in core/memory.cpp. */
function bytesText(bytes) {
  const [name, size] = kUnits.filter(([, s]) => Math.abs(bytes) >= s).pop() || kUnits[0];
  return size === 1 ? `${bytes} B` : `${(bytes / size).toFixed(1)} ${name}`;
}

const grouped = number => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const msText = ticks => `${(ticks / kTicksPerMs).toFixed(ticks < 100 * kTicksPerMs ? 2 : 0)} ms`;

function why(recording, [, sentence, nodes]) {
  const names = nodes.map(node => nodeName(recording, node));
  const list = names.length < 2 ? names.join("") : names.slice(0, -1).join(", ") + " and " + names[names.length - 1];
  return report.whys[sentence].replace("{}", () => list);
}

// ---- elements ------------------------------------------------------------------------------------------------------

function make(parent, name, attributes = {}, text = null) {
  const svg = parent.namespaceURI === "http://www.w3.org/2000/svg" || name === "svg";
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  return parent.appendChild(element);
}

const tagColour = tag => `var(--tag-${tag.name})`;
const seriesColour = number => `var(--series-${number % 4})`;

function mark(parent, colour) {
  make(parent, "span", { class: "mark", "aria-hidden": "true", style: `background:${colour}` });
}

function headRow(table, columns) {
  const row = make(make(table, "thead"), "tr");
  for (const column of columns)
    make(row, "th", { scope: "col", class: column.text ? "text" : "" }, column.title);
  return make(table, "tbody");
}

/** Has each cell of a finished row say which column it is in, for screens where rows are shown as lists. */
function label(row) {
  const heads = row.closest("table").tHead.rows[0].cells;
  for (const cell of row.cells) cell.dataset.column = heads[cell.cellIndex].textContent;
}

/** The smallest of 1, 2, 5, 10, ... times a power of `base` steps that cuts `range` into at most `most` pieces. */
function niceStep(range, most) {
  let step = 10 ** Math.floor(Math.log10(range / most));
  for (const factor of [2, 2.5, 2]) {
    if (range / step <= most) break;
    step *= factor;
  }
  return step;
}

function ticksOf(range, most) {
  const step = niceStep(range, most);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: Math.floor(range / step + 1e-9) + 1 }, (_, n) => ({ value: n * step, text: (n * step).toFixed(digits) }));
}

/** Lines and numbers of the axis of bytes. `most` is at the top. */
function bytesAxis(svg, most, y, left, right) {
  const [unit, size] = kUnits.filter(([, s]) => most >= s).pop() || kUnits[0];
  for (const tick of ticksOf(most / size, 6)) {
    const at = y(tick.value * size);
    make(svg, "line", { x1: left, x2: right, y1: at, y2: at, stroke: "var(--rule)" });
    make(svg, "text", { x: left - 8, y: at + 4, "text-anchor": "end", class: "y-tick", "data-bytes": tick.value * size }, tick.text);
  }
  make(svg, "text", { x: left - 8, y: 14, "text-anchor": "end", class: "unit" }, unit);
}

// ---- figures -------------------------------------------------------------------------------------------------------

function drawFigures() {
  const body = headRow(document.getElementById("figures"), [
    { title: "", text: true }, { title: "after forward" }, { title: "bytes" }, { title: "peak" }, { title: "bytes" },
    { title: `of ${recordings[0].name}` }, { title: "step" }]);
  for (const recording of recordings) {
    const row = make(body, "tr", { "data-name": recording.name });
    const name = make(row, "td", { class: "text" });
    mark(name, seriesColour(recording.series));
    name.append(recording.name);
    make(row, "td", {}, bytesText(recording.afterForward));
    make(row, "td", { "data-after-forward": recording.afterForward }, grouped(recording.afterForward));
    make(row, "td", {}, bytesText(recording.peak));
    make(row, "td", { "data-peak": recording.peak }, grouped(recording.peak));
    make(row, "td", {}, recordings[0].peak ? (recording.peak / recordings[0].peak).toFixed(2) : "–");
    make(row, "td", {}, msText(recording.end));
    label(row);
  }
}

// ---- live bytes over the step --------------------------------------------------------------------------------------

/** The picture of one recording. */
class StepPicture {
  constructor(parent, recording) {
    this.recording = recording;
    const figure = make(parent, "figure", { class: "step" });
    const title = make(figure, "h3");
    mark(title, seriesColour(recording.series));
    title.append(`${recording.name}: peak ${bytesText(recording.peak)}`);
    this.svg = make(figure, "svg", {
      tabindex: 0, role: "slider", "aria-label": `Live bytes of ${recording.name} over the step`, "aria-valuemin": 0,
      "aria-valuemax": recording.count, "data-name": recording.name });
    make(figure, "p", { class: "note" }, recording.phases.map(([name, time], p) => {
      const end = p + 1 < recording.phases.length ? recording.phases[p + 1][1] : recording.end;
      return `${name} ${msText(end - time)}`;
    }).join(" · "));
    this.readout = make(figure, "div", { class: "readout" });
    this.svg.addEventListener("pointermove", event => this.point(event));
    this.svg.addEventListener("pointerdown", event => this.point(event));
    this.svg.addEventListener("keydown", event => this.key(event));
    this.moment = this.momentOf(recording.peakEvents);
    this.stops = this.findStops();
  }

  momentOf(events) {
    return { events, time: this.recording.time[events], exact: true };
  }

  draw(shown, most) {
    this.shown = shown;
    const { recording, svg } = this;
    const width = svg.clientWidth || 700;
    const height = width < 560 ? 200 : 250;
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    const left = kMargin.left, right = width - kMargin.right, top = kMargin.top, bottom = height - kMargin.bottom;
    this.x = time => left + (right - left) * time / longest;
    this.y = bytes => bottom - (bottom - top) * bytes / most;
    this.area = { left, right, top, bottom };
    this.drawPhases();
    bytesAxis(svg, most, this.y, left, right);
    this.drawTimeAxis(width);
    this.findColumns();
    this.drawBytes();
    this.drawPeak();
    this.cursor = make(svg, "line", { y1: top, y2: bottom, stroke: "var(--ink)", "stroke-width": 1, class: "screen" });
    this.show(this.moment);
  }

  drawPhases() {
    const { right, top, bottom } = this.area;
    const places = [];
    this.recording.phases.forEach(([name, time], p) => {
      const next = this.recording.phases[p + 1];
      const begin = this.x(time), end = this.x(next ? next[1] : this.recording.end);
      if (p % 2 === 0) make(this.svg, "rect", { x: begin, y: top, width: Math.max(0, end - begin), height: bottom - top, fill: "var(--shade)" });
      make(this.svg, "line", { x1: begin, x2: begin, y1: top - 6, y2: bottom, stroke: "var(--soft)", "stroke-dasharray": "2 3" });
      places.push({ name, begin, length: end - begin });
    });
    const kLetter = 6.2;
    const taken = []; // the longest phase gets its name first; the line below the picture names all
    for (const { name, begin } of places.sort((a, b) => b.length - a.length)) {
      const end = begin + kLetter * name.length + 4;
      if (end > right || taken.some(([from, to]) => begin < to && from < end)) continue;
      make(this.svg, "text", { x: begin + 4, y: top - 10, class: "phase" }, name);
      taken.push([begin, end]);
    }
  }

  drawTimeAxis(width) {
    const { bottom, right } = this.area;
    const micro = longest < kTicksPerMs;
    const unit = micro ? 10 : kTicksPerMs;
    for (const tick of ticksOf(longest / unit, width < 560 ? 4 : 9)) {
      const at = this.x(tick.value * unit);
      make(this.svg, "line", { x1: at, x2: at, y1: bottom, y2: bottom + 4, stroke: "var(--soft)" });
      if (at < right - 30) make(this.svg, "text", { x: at, y: bottom + 18, "text-anchor": "middle" }, tick.text);
    }
    make(this.svg, "text", { x: right, y: bottom + 18, "text-anchor": "end" }, micro ? "µs" : "ms");
  }

  /** For each pixel the moment with the most bytes in it: what is drawn, and what pointing at it shows. */
  findColumns() {
    const { recording, area } = this;
    const count = Math.max(1, Math.floor(this.x(recording.end)) - area.left + 1);
    this.columns = new Array(count).fill(null);
    for (let events = recording.start; events <= recording.count; ++events) {
      const column = Math.min(count - 1, Math.max(0, Math.floor(this.x(recording.time[events]) - area.left)));
      if (this.columns[column] === null || recording.step[events] > recording.step[this.columns[column].events])
        this.columns[column] = this.momentOf(events);
    }
    let last = recording.start;
    for (let column = 0, events = recording.start; column < count; ++column) {
      while (events + 1 <= recording.count && this.x(recording.time[events + 1]) < area.left + column + 1) ++events;
      const here = this.columns[column];
      if (here === null || recording.step[last] > recording.step[here.events]) // what was alive when the pixel began
        this.columns[column] = { events: last, time: this.timeAt(here === null ? column + 0.5 : column), exact: false };
      last = events;
    }
  }

  timeAt(column) {
    return column / (this.area.right - this.area.left) * longest;
  }

  drawBytes() {
    const { recording, area, columns } = this;
    let below = columns.map(() => 0);
    for (const tag of this.shown) {
      const above = below.map((bytes, c) => bytes + recording.live[tag.number][columns[c].events]);
      if (above.some((bytes, c) => bytes > below[c])) {
        const edge = (bytes, back) => bytes.map((value, c) => (back ? bytes.length - 1 - c : c)).map(c =>
          `H${area.left + c + (back ? 1 : 0)}V${this.y(bytes[c]).toFixed(1)}`).join("");
        const path = `M${area.left} ${this.y(below[0]).toFixed(1)}${edge(above, false)}H${area.left + columns.length}${edge(below, true)}Z`;
        make(this.svg, "path", { d: path, fill: tagColour(tag), "data-tag": tag.name });
      }
      below = above;
    }
  }

  drawPeak() {
    const { recording, area } = this;
    const total = this.shown.reduce((sum, tag) => sum + recording.live[tag.number][recording.peakEvents], 0);
    const x = this.x(recording.time[recording.peakEvents]), y = this.y(total);
    const text = `peak ${bytesText(recording.peak)}`;
    const before = x + 8 + 7 * text.length > area.right;
    make(this.svg, "circle", { cx: x, cy: y, r: 3.5, fill: "var(--ink)", stroke: "var(--paper)", class: "peak", "data-bytes": total });
    make(this.svg, "text", { x: before ? x - 8 : x + 8, y: Math.max(area.top + 10, y - 6), "text-anchor": before ? "end" : "start", class: "strong peak-text" }, text);
  }

  // -- moments --

  /** Where the arrow keys stop: the moment with the most bytes in each span; of one that allocated nothing, its begin. */
  findStops() {
    const { recording } = this;
    const stops = recording.spans.map(span => {
      let best = span.beginEvent + 1;
      if (best > span.endEvent) return { events: span.beginEvent, time: span.begin, exact: false };
      for (let events = best; events <= span.endEvent; ++events)
        if (recording.step[events] > recording.step[best]) best = events;
      return this.momentOf(best);
    });
    stops.push(this.momentOf(recording.count));
    return stops.sort((a, b) => a.time - b.time || a.events - b.events);
  }

  point(event) {
    const column = Math.floor(event.clientX - this.svg.getBoundingClientRect().left - this.area.left);
    this.readout.setAttribute("aria-live", "off");
    this.show(this.columns[Math.min(this.columns.length - 1, Math.max(0, column))]);
  }

  key(event) {
    const moment = this.momentFor(event);
    if (!moment) return;
    event.preventDefault();
    this.readout.setAttribute("aria-live", "polite");
    this.show(moment);
  }

  momentFor(event) {
    const { recording, stops, moment } = this;
    const forward = event.key === "ArrowRight" || event.key === "ArrowUp";
    if (forward || event.key === "ArrowLeft" || event.key === "ArrowDown") {
      if (event.shiftKey)
        return this.momentOf(Math.min(recording.count, Math.max(recording.start, moment.events + (forward ? 1 : -1))));
      return forward ? stops.find(stop => stop.time > moment.time) : stops.filter(stop => stop.time < moment.time).pop();
    }
    if (event.key === "Home") return this.momentOf(recording.start);
    if (event.key === "End") return this.momentOf(recording.count);
    if (event.key === "p" || event.key === "P") return this.momentOf(recording.peakEvents);
    return null;
  }

  show(moment) {
    this.moment = moment;
    const { recording } = this;
    const x = this.x(moment.time);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    const span = spanAt(recording, moment);
    const kinds = ["", ", run again", ", its derivative"];
    const what = span ? nodeName(recording, span.node) + kinds[span.kind] : "no operation of the tape";
    const parts = this.shown.map(tag => [tag, recording.live[tag.number][moment.events]]).filter(([, bytes]) => bytes > 0);
    const total = parts.reduce((sum, [, bytes]) => sum + bytes, 0);
    const head = `${msText(moment.time)}, ${phaseAt(recording, moment)}: ${what}`;
    const sum = `${bytesText(total)} alive` + (parts.length ? ": " + parts.map(([tag, bytes]) => `${tag.name} ${bytesText(bytes)}`).join(", ") : "");
    this.svg.setAttribute("aria-valuenow", moment.events);
    this.svg.setAttribute("aria-valuetext", `${head}. ${sum}`);
    this.readout.replaceChildren();
    make(make(this.readout, "p"), "strong", {}, head);
    make(this.readout, "p", { class: "sum" }, sum);
    this.listAlive(moment);
  }

  listAlive(moment) {
    const names = new Set(this.shown.map(tag => tag.number));
    const alive = this.recording.allocations.filter(a => a.begin < moment.events && moment.events <= a.end && names.has(a.kind[0]));
    alive.sort((a, b) => b.kind[4] - a.kind[4]);
    const kMost = 6;
    const body = make(make(make(this.readout, "div", { class: "scroll" }), "table"), "tbody");
    for (const allocation of alive.slice(0, kMost)) {
      const row = make(body, "tr");
      make(row, "td", {}, bytesText(allocation.kind[4]));
      const name = make(row, "td", { class: "text" });
      mark(name, tagColour(tags[allocation.kind[0]]));
      name.append(allocationName(allocation));
      make(row, "td", { class: "text" }, report.texts[allocation.kind[3]]);
    }
    if (alive.length > kMost) make(make(body, "tr"), "td", { class: "text", colspan: 3 }, `and ${alive.length - kMost} more`);
  }
}

const pictures = [];

function drawSteps() {
  for (const recording of recordings) pictures.push(new StepPicture(document.getElementById("steps"), recording));
  const box = document.getElementById("all-tags");
  const legend = document.getElementById("legend");
  const draw = () => {
    const shown = box.checked ? [...tags.filter(tag => !tag.inStep), ...stepTags] : stepTags;
    const used = shown.filter(tag => recordings.some(recording => recording.live[tag.number].some(bytes => bytes > 0)));
    const most = Math.max(1, ...recordings.map(recording => {
      let top = 0;
      for (let events = recording.start; events <= recording.count; ++events) {
        let sum = 0;
        for (const tag of used) sum += recording.live[tag.number][events];
        top = Math.max(top, sum);
      }
      return top;
    }));
    legend.replaceChildren();
    for (const tag of used) {
      const item = make(legend, "li");
      mark(item, tagColour(tag));
      item.append(tag.name.replace("_", " "));
    }
    const kAbove = 1.06; // the axis is a little higher than the highest peak
    for (const picture of pictures) picture.draw(used, kAbove * most);
  };
  box.addEventListener("change", draw);
  let width = 0;
  new ResizeObserver(() => {
    const now = document.getElementById("steps").clientWidth;
    if (now !== width) { width = now; draw(); drawDepths(); }
  }).observe(document.getElementById("steps"));
}

// ---- alive at the peak ---------------------------------------------------------------------------------------------

function addPeakRow(body, recording, row) {
  const { kind } = recording.allocations[row[0]];
  const line = make(body, "tr", { "data-bytes": kind[4] });
  make(line, "td", {}, grouped(kind[4]));
  const tag = make(line, "td", { class: "text" });
  mark(tag, tagColour(tags[kind[0]]));
  tag.append(tags[kind[0]].name);
  make(line, "td", { class: "text name" }, allocationName({ kind }));
  make(line, "td", { class: "text" }, report.texts[kind[3]]);
  make(line, "td", { class: "text why" }, why(recording, row));
  label(line);
}

function drawPeak(parent, recording) {
  const title = make(parent, "h3");
  mark(title, seriesColour(recording.series));
  const moment = { events: recording.peakEvents, time: recording.time[recording.peakEvents], exact: true };
  const span = spanAt(recording, moment);
  title.append(recording.name);
  make(parent, "p", { class: "note" }, `${bytesText(recording.peak)} in ${recording.alive.length} allocations, ${msText(moment.time)} after the step began, in ${phaseAt(recording, moment)}` +
    (span ? `, while ${nodeName(recording, span.node)} ran.` : "."));
  const scroll = make(parent, "div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Alive at the peak of ${recording.name}` });
  const table = make(scroll, "table", { class: "alive", "data-name": recording.name });
  const body = headRow(table, [{ title: "bytes" }, { title: "tag", text: true }, { title: "name", text: true }, { title: "shape", text: true }, { title: "why it is alive", text: true }]);
  const rest = recording.alive.slice(kRowsShown);
  for (const row of recording.alive.slice(0, kRowsShown)) addPeakRow(body, recording, row);
  const foot = make(table, "tfoot");
  const bytesOf = rows => rows.reduce((sum, row) => sum + recording.allocations[row[0]].kind[4], 0);
  const restRow = rest.length ? make(foot, "tr") : null;
  if (restRow) {
    make(restRow, "td", {}, grouped(bytesOf(rest)));
    make(restRow, "td", { class: "text", colspan: 4 }, `in ${rest.length} more`);
  }
  const sum = make(foot, "tr", { class: "sum" });
  make(sum, "td", { "data-sum": bytesOf(recording.alive) }, grouped(bytesOf(recording.alive)));
  make(sum, "td", { class: "text", colspan: 4 }, "all: the peak");
  if (!restRow) return;
  const button = make(parent, "button", { type: "button" }, `Show all ${recording.alive.length}`);
  button.addEventListener("click", () => {
    for (const row of rest) addPeakRow(body, recording, row);
    restRow.remove();
    button.remove();
    scroll.focus();
  });
}

// ---- bytes by depth ------------------------------------------------------------------------------------------------

function depthSeries() {
  const names = [...new Set(report.depths.map(([name]) => name))];
  return names.map(name => ({
    name, number: Math.max(0, recordings.findIndex(recording => recording.name === name)),
    points: report.depths.filter(point => point[0] === name).map(([, blocks, afterForward, peak]) => ({ blocks, afterForward, peak })).sort((a, b) => a.blocks - b.blocks) }));
}

function drawDepthPlot(host, series) {
  const width = host.clientWidth || 700, height = 300;
  const all = series.flatMap(s => s.points);
  const most = 1.06 * Math.max(...all.map(point => point.peak), 1), deepest = Math.max(...all.map(point => point.blocks));
  const label = Math.max(...series.map(s => s.name.length)) * 7 + 16;
  const left = kMargin.left, right = width - label, top = kMargin.top, bottom = height - 44;
  const x = blocks => left + (right - left) * blocks / deepest, y = bytes => bottom - (bottom - top) * bytes / most;
  host.replaceChildren();
  const svg = make(host, "svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", height, role: "img", "aria-label": "Peak and bytes after forward by the number of blocks; the table below has the figures" });
  bytesAxis(svg, most, y, left, right);
  for (const blocks of new Set(all.map(point => point.blocks)))
    make(svg, "text", { x: x(blocks), y: bottom + 18, "text-anchor": "middle" }, String(blocks));
  make(svg, "text", { x: width - 4, y: bottom + 36, "text-anchor": "end" }, "blocks · lines: peak, dashed: after forward");
  const ends = [];
  for (const { name, number, points } of series) {
    const colour = seriesColour(number);
    for (const [key, dash] of [["afterForward", "5 4"], ["peak", "none"]])
      make(svg, "polyline", { points: points.map(p => `${x(p.blocks)},${y(p[key])}`).join(" "), fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dash });
    for (const point of points) drawPoint(svg, number, x(point.blocks), y(point.peak), colour);
    ends.push({ name, colour, y: y(points[points.length - 1].peak) + 4 });
  }
  ends.sort((a, b) => a.y - b.y);
  ends.forEach((end, n) => { if (n > 0) end.y = Math.max(end.y, ends[n - 1].y + 15); });
  for (const end of ends) make(svg, "text", { x: right + 10, y: end.y, style: `fill:${end.colour};font-weight:600` }, end.name);
}

/** Each series has a form of its own, beside its colour. */
function drawPoint(svg, number, x, y, colour) {
  const r = 4.5;
  const forms = [
    () => make(svg, "circle", { cx: x, cy: y, r, fill: colour }),
    () => make(svg, "rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, fill: colour }),
    () => make(svg, "path", { d: `M${x} ${y - r - 1}L${x + r + 1} ${y + r}H${x - r - 1}Z`, fill: colour }),
    () => make(svg, "path", { d: `M${x} ${y - r - 1}L${x + r + 1} ${y}L${x} ${y + r + 1}L${x - r - 1} ${y}Z`, fill: colour })];
  forms[number % forms.length]();
}

function drawDepths() {
  const section = document.getElementById("depth");
  section.hidden = report.depths.length === 0;
  if (section.hidden) return;
  const series = depthSeries();
  drawDepthPlot(document.getElementById("depth-plot"), series);
  const table = document.getElementById("depths");
  table.replaceChildren();
  const body = headRow(table, [{ title: "", text: true }, { title: "blocks" }, { title: "after forward" }, { title: "bytes" }, { title: "peak" }, { title: "bytes" }]);
  for (const { name, number, points } of series)
    for (const point of points) {
      const row = make(body, "tr", { "data-name": name, "data-blocks": point.blocks });
      const cell = make(row, "td", { class: "text" });
      mark(cell, seriesColour(number));
      cell.append(name);
      make(row, "td", {}, String(point.blocks));
      make(row, "td", {}, bytesText(point.afterForward));
      make(row, "td", { "data-after-forward": point.afterForward }, grouped(point.afterForward));
      make(row, "td", {}, bytesText(point.peak));
      make(row, "td", { "data-peak": point.peak }, grouped(point.peak));
      label(row);
    }
}

document.getElementById("title").textContent = report.title;
document.getElementById("text").textContent = report.text;
drawFigures();
drawSteps();
for (const recording of recordings) drawPeak(document.getElementById("peaks"), recording);

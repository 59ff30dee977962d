// A scatter plot in SVG: axes, error bars, zoom by dragging, keys from point to point. Knows nothing of astronomy.
const NS = "http://www.w3.org/2000/svg";

function element(name, attributes = {}, text = "") {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

// Round steps that cut a range into about n parts.
export function ticks(low, high, n) {
  const raw = (high - low) / n || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) found.push(i * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return found.map((value) => [value, value.toFixed(digits)]);
}

const SHAPES = {
  circle: (x, y, r) => element("circle", { cx: x, cy: y, r }),
  square: (x, y, r) => element("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r }),
  diamond: (x, y, r) => element("path", { d: `M${x},${y - 1.3 * r}l${1.3 * r},${1.3 * r}l${-1.3 * r},${1.3 * r}l${-1.3 * r},${-1.3 * r}z` }),
  limit: (x, y, r) => element("path", { d: `M${x - r},${y - r}h${2 * r}l${-r},${1.7 * r}z` }),
};

export class Plot {
  // `chosen` is called with a point that was clicked or entered; a point is {x, y, error, shape, kind, title, data}.
  constructor(place, { label, height = 320, chosen = () => {}, line = false }) {
    Object.assign(this, { place, label, height, chosen, line, points: [], lines: [], zoom: null, selected: null });
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    new ResizeObserver(() => this.draw()).observe(place);
  }

  // `lines` are curves under the points: {kind, points: [x, y], band: [x, low, high] or null}; a null y breaks one.
  // They do not widen the axes.
  show(points, axes, lines = []) {
    this.points = points;
    this.lines = lines;
    this.axes = axes;
    this.zoom = null;
    this.draw();
  }

  range(name) {
    if (this.zoom) return this.zoom[name];
    const fixed = this.axes[name].range;
    if (fixed) return fixed;
    const spread = this.points.flatMap((p) => (name === "y" && p.error && this.axes.errors ? [p.y - p.error, p.y + p.error] : [p[name]]));
    let [low, high] = [Math.min(...spread), Math.max(...spread)];
    if (!Number.isFinite(low)) [low, high] = [0, 1];
    const margin = (high - low) * 0.05 || 0.5;
    return [low - margin, high + margin];
  }

  draw() {
    if (!this.axes || !this.place.clientWidth) return;
    const width = this.place.clientWidth;
    const { height } = this;
    const box = { left: 52, right: width - 8, top: 8, bottom: height - 40 };
    const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": this.label, tabindex: 0 });
    const [x0, x1] = this.range("x");
    const [y0, y1] = this.range("y");
    const flip = this.axes.y.down;
    const px = (x) => box.left + ((x - x0) / (x1 - x0)) * (box.right - box.left);
    const py = (y) => (flip ? box.top + ((y - y0) / (y1 - y0)) * (box.bottom - box.top) : box.bottom - ((y - y0) / (y1 - y0)) * (box.bottom - box.top));
    Object.assign(this, { svg, box, px, py, inverse: (x, y) => [
      x0 + ((x - box.left) / (box.right - box.left)) * (x1 - x0),
      flip ? y0 + ((y - box.top) / (box.bottom - box.top)) * (y1 - y0) : y0 + ((box.bottom - y) / (box.bottom - box.top)) * (y1 - y0),
    ] });
    for (const [value, text] of ticks(x0, x1, width < 500 ? 4 : 8)) {
      svg.append(element("line", { class: "grid", x1: px(value), x2: px(value), y1: box.top, y2: box.bottom }));
      svg.append(element("text", { class: "tick", x: px(value), y: box.bottom + 16, "text-anchor": "middle" }, this.axes.x.format?.(value) ?? text));
    }
    for (const [value, text] of ticks(y0, y1, 5)) {
      svg.append(element("line", { class: "grid", x1: box.left, x2: box.right, y1: py(value), y2: py(value) }));
      svg.append(element("text", { class: "tick", x: box.left - 6, y: py(value) + 4, "text-anchor": "end" }, text));
    }
    svg.append(element("text", { class: "axis", x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" }, this.axes.x.label));
    svg.append(element("text", { class: "axis", transform: `translate(12 ${(box.top + box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, this.axes.y.label));
    const clip = `clip-${this.place.id}`;
    const clipper = element("clipPath", { id: clip });
    clipper.append(element("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }));
    const layer = element("g", { "clip-path": `url(#${clip})` });
    svg.append(clipper, layer);
    if (this.line) {
      const path = this.points.map((p, i) => `${i ? "L" : "M"}${px(p.x).toFixed(1)},${py(p.y).toFixed(1)}`).join("");
      layer.append(element("path", { class: "curve-line", d: path }));
    } else {
      this.drawLines(layer);
      this.drawPoints(layer);
    }
    this.listen();
    this.place.replaceChildren(svg, this.tip);
  }

  drawLines(layer) {
    const at = (x, y) => `${this.px(x).toFixed(1)},${this.py(y).toFixed(1)}`;
    for (const { kind, points, band } of this.lines) {
      if (band) {
        const edge = [...band.map(([x, low]) => at(x, low)), ...band.map(([x, , high]) => at(x, high)).reverse()];
        layer.append(element("path", { class: `model-band ${kind}`, d: `M${edge.join("L")}z` }));
      }
      const path = points.map(([x, y], i) => (y == null ? "" : `${i && points[i - 1][1] != null ? "L" : "M"}${at(x, y)}`)).join("");
      layer.append(element("path", { class: `model-line ${kind}`, d: path }));
    }
  }

  drawPoints(layer) {
    this.marks = new Map();
    for (const point of this.points) {
      const [x, y] = [this.px(point.x), this.py(point.y)];
      const group = element("g", { class: `point ${point.kind}` });
      if (point.error && this.axes.errors) {
        group.append(element("line", { class: "error", x1: x, x2: x, y1: this.py(point.y - point.error), y2: this.py(point.y + point.error) }));
      }
      group.append(SHAPES[point.shape](x, y, point.size ?? 4));
      group.addEventListener("pointerenter", () => this.hint(point));
      group.addEventListener("pointerleave", () => { this.tip.hidden = true; });
      group.addEventListener("click", () => this.select(point));
      if (point === this.selected) group.classList.add("selected");
      layer.append(group);
      this.marks.set(point, group);
    }
  }

  hint(point) {
    this.tip.textContent = point.title;
    this.tip.hidden = false;
    const x = this.px(point.x);
    const left = x > this.box.right - 180;
    this.tip.style.left = left ? "" : `${x + 10}px`;
    this.tip.style.right = left ? `${this.place.clientWidth - x + 10}px` : "";
    this.tip.style.top = `${Math.max(0, this.py(point.y) - 20)}px`;
  }

  mark(point) {
    this.marks?.get(this.selected)?.classList.remove("selected");
    this.selected = point;
    this.marks?.get(point)?.classList.add("selected");
  }

  select(point) {
    this.mark(point);
    this.chosen(point);
  }

  listen() {
    const { svg } = this;
    let from = null;
    const at = (event) => {
      const box = svg.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const band = element("rect", { class: "zoom" });
    svg.addEventListener("pointerdown", (event) => { if (event.button === 0 && event.pointerType === "mouse") from = at(event); });
    svg.addEventListener("pointermove", (event) => {
      if (!from) return;
      const to = at(event);
      const [x, y] = [Math.min(from[0], to[0]), Math.min(from[1], to[1])];
      for (const [k, v] of Object.entries({ x, y, width: Math.abs(to[0] - from[0]), height: Math.abs(to[1] - from[1]) })) band.setAttribute(k, v);
      if (!band.parentNode) svg.append(band);
    });
    svg.addEventListener("pointerup", (event) => {
      if (!from) return;
      const [a, b] = [from, at(event)];
      from = null;
      band.remove();
      if (this.line) {
        this.chosen({ x: this.inverse(...b)[0] });
        return;
      }
      if (Math.abs(a[0] - b[0]) < 8 || Math.abs(a[1] - b[1]) < 8) return;
      const [p, q] = [this.inverse(...a), this.inverse(...b)];
      this.zoom = { x: [Math.min(p[0], q[0]), Math.max(p[0], q[0])], y: [Math.min(p[1], q[1]), Math.max(p[1], q[1])] };
      this.draw();
    });
    svg.addEventListener("dblclick", () => { this.zoom = null; this.draw(); });
    svg.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") { this.zoom = null; this.draw(); this.svg.focus(); }
    if (event.key === "Enter" && this.near) this.select(this.near);
    if (!step || this.line) return;
    event.preventDefault();
    const ordered = [...this.points].sort((a, b) => a.x - b.x);
    const index = ordered.indexOf(this.near ?? this.selected);
    this.near = ordered[Math.max(0, Math.min(ordered.length - 1, index + step))];
    if (this.near) this.hint(this.near);
  }
}

// The object page: light curve, folding, periodogram, cutouts of an epoch, packet.
import { Plot } from "./plot.js";
import { frequencies, power } from "./periods.js";
import { showStamps } from "./stamps.js";
import { lines, load } from "./models.js";
import { load as loadRelease, released } from "./release.js";

const data = JSON.parse(document.getElementById("curve").textContent);
const by = (id) => document.getElementById(id);
const BANDS = { g: ["circle", 0], r: ["square", 1], i: ["diamond", 2] };
const ZERO_POINT = 23.9; // AB, for fluxes in microjansky

const utc = (mjd) => new Date((mjd - 40587) * 86400e3).toISOString().replace("T", " ").slice(0, 16);
const flux = (mag, positive) => (positive ? 1 : -1) * 10 ** (-0.4 * (mag - ZERO_POINT));

const detections = data.detections.map(([candid, mjd, band, mag, magErr, positive, magCorr, magCorrErr, hasStamp, dubious, rb]) => (
  { type: "detection", candid, mjd, band, mag, magErr, positive, magCorr, magCorrErr, hasStamp, dubious, rb }));
const forced = data.forced.map(([mjd, band, mag, magErr, positive, magCorr, magCorrErr, f, fErr]) => (
  { type: "forced", mjd, band, mag, magErr, positive, magCorr, magCorrErr, flux: f, fluxErr: fErr }));
const limits = data.limits.map(([mjd, band, mag]) => ({ type: "limit", mjd, band, mag }));

// Value and error of an epoch in the chosen quantity; null where it has none.
function measure(epoch, quantity) {
  if (quantity === "apparent") return epoch.magCorr == null ? null : [epoch.magCorr, epoch.magCorrErr];
  if (quantity === "flux") {
    if (epoch.type === "forced") return epoch.flux == null ? null : [epoch.flux, epoch.fluxErr];
    if (epoch.mag == null) return null;
    const value = flux(epoch.mag, epoch.positive);
    return [value, Math.abs(value) * epoch.magErr * 0.9210340371976183];
  }
  if (epoch.mag == null || (epoch.type === "forced" && !(epoch.magErr < 0.36))) return null; // below 3 sigma: see flux
  return [epoch.mag, epoch.magErr];
}

const form = by("controls");
const say = (epoch, value, error, unit) => [
  `${epoch.band} ${value.toFixed(unit === "mag" ? 3 : 1)}${error ? ` ± ${error.toFixed(unit === "mag" ? 3 : 1)}` : ""} ${unit}`,
  epoch.type === "limit" ? "upper limit" : epoch.type === "forced" ? "forced photometry" : epoch.type === "release" ? "data release" : epoch.positive ? "detection" : "detection, fainter than the reference",
  `MJD ${epoch.mjd.toFixed(5)}`, `${utc(epoch.mjd)} UTC`,
].join("\n");

function points() {
  const quantity = form.quantity.value;
  const unit = quantity === "flux" ? "µJy" : "mag";
  const period = form.fold.checked ? Number(by("period").value) : null;
  const epochs = [...(form.limits.checked && quantity === "difference" ? limits : []), ...(form.forced.checked ? forced : []), ...(form.release.checked && quantity === "apparent" ? released() : []), ...detections];
  const start = detections[0]?.mjd ?? 0;
  const made = [];
  for (const epoch of epochs) {
    const found = epoch.type === "limit" ? [epoch.mag, 0] : measure(epoch, quantity);
    if (!found || found[0] == null) continue;
    const [shape] = BANDS[epoch.band] ?? BANDS.i;
    const point = {
      y: found[0], error: found[1], data: epoch, title: say(epoch, found[0], found[1], unit),
      shape: epoch.type === "limit" ? "limit" : shape,
      size: epoch.type === "detection" ? 4.5 : 3,
      kind: `band-${epoch.band} ${epoch.type}${epoch.positive === false ? " negative" : ""}${epoch.hasStamp ? " has-stamp" : ""}`,
    };
    if (!period) { made.push({ ...point, x: epoch.mjd }); continue; }
    const phase = (((epoch.mjd - start) / period) % 1 + 1) % 1;
    made.push({ ...point, x: phase }, { ...point, x: phase + 1 });
  }
  return made;
}

const plot = new Plot(by("plot"), { label: "Light curve", chosen: (point) => choose(point.data) });

function redraw() {
  const quantity = form.quantity.value;
  const fold = form.fold.checked;
  by("folding").hidden = !fold;
  plot.show(points(), {
    errors: form.errors.checked,
    x: fold ? { label: "phase", range: [0, 2] } : { label: form.utc.checked ? "UT date" : "MJD (UTC)", format: form.utc.checked ? (mjd) => utc(mjd).slice(0, 10) : null },
    y: { label: { difference: "difference magnitude", apparent: "apparent magnitude", flux: "difference flux, µJy" }[quantity], down: quantity !== "flux" },
  }, form.models?.checked && !fold ? lines(quantity, ZERO_POINT) : []);
  plot.mark(plot.points.find((point) => point.data === shown) ?? null);
}
form.addEventListener("change", redraw);
form.models?.addEventListener("change", async () => {
  by("models").hidden = !form.models.checked;
  if (form.models.checked && await load(data.oid, by("models"))) redraw();
});

form.release.addEventListener("change", async () => {
  by("release").hidden = !form.release.checked;
  if (form.release.checked && await loadRelease(data.oid, by("release"))) {
    form.quantity.value = "apparent";
    redraw();
  }
});

// Folding: the slider is logarithmic from 0.05 to 500 days.
const LOW = Math.log(0.05);
const HIGH = Math.log(500);
function setPeriod(period, from = null) {
  by("period").value = Number(period.toPrecision(8));
  if (from !== "slide") by("slide").value = (Math.log(period) - LOW) / (HIGH - LOW);
  redraw();
}
by("slide").addEventListener("input", () => setPeriod(Math.exp(LOW + by("slide").value * (HIGH - LOW)), "slide"));
by("period").addEventListener("input", () => { if (Number(by("period").value) > 0) setPeriod(Number(by("period").value)); });
by("halve").addEventListener("click", () => setPeriod(by("period").value / 2));
by("double").addEventListener("click", () => setPeriod(by("period").value * 2));
by("stored-period")?.addEventListener("click", ({ target }) => setPeriod(Number(target.dataset.period)));
by("folding").addEventListener("submit", (event) => event.preventDefault());

const spectrum = new Plot(by("periodogram"), { label: "Periodogram", height: 180, line: true, chosen: ({ x }) => {
  // The highest peak close to where was clicked, so that the exact place need not be hit.
  const near = spectrum.points.filter((point) => Math.abs(point.x - x) < 0.12);
  if (near.length) setPeriod(10 ** near.reduce((a, b) => (b.y > a.y ? b : a)).x);
} });
by("search").addEventListener("click", () => {
  const quantity = form.quantity.value === "apparent" ? "apparent" : "flux";
  const epochs = [...detections, ...(form.forced.checked ? forced : [])].map((epoch) => [epoch, measure(epoch, quantity)]).filter(([, found]) => found && found[1] > 0);
  by("periodogram").hidden = false;
  if (epochs.length < 6) {
    by("periodogram").textContent = `${epochs.length} epochs are not enough for a period; it takes at least 6.`;
    return;
  }
  const t = epochs.map(([epoch]) => epoch.mjd - epochs[0][0].mjd);
  const f = frequencies(Math.max(...t) - Math.min(...t));
  const p = power(t, epochs.map(([, m]) => m[0]), epochs.map(([, m]) => 1 / (m[1] * m[1])), epochs.map(([epoch]) => (BANDS[epoch.band] ?? BANDS.i)[1]), f);
  const found = [];
  const stride = Math.max(1, Math.floor(f.length / 2000));
  for (let i = 0; i < f.length; i += stride) {
    let best = i;
    for (let j = i; j < Math.min(i + stride, f.length); j++) if (p[j] > p[best]) best = j;
    found.push({ x: -Math.log10(f[best]), y: p[best] });
  }
  found.reverse();
  spectrum.show(found, { x: { label: "log10 of the period in days; click a peak to fold", format: null }, y: { label: "power", range: [0, 1] } });
  setPeriod(10 ** found.reduce((a, b) => (b.y > a.y ? b : a)).x);
});

// Cutouts.
const stamped = detections.filter((epoch) => epoch.hasStamp);
let shown = stamped.at(-1) ?? detections.at(-1);
function choose(epoch) {
  shown = epoch;
  const caption = `MJD ${epoch.mjd.toFixed(5)}, ${utc(epoch.mjd)} UTC, ${epoch.band}${epoch.mag == null ? "" : ` ${epoch.mag.toFixed(2)} mag`}${epoch.rb == null ? "" : `, real-bogus ${epoch.rb.toFixed(2)}`}`;
  showStamps(by("stamps"), epoch.hasStamp ? epoch.candid : null, caption, by("crosshair").checked);
  by("open-packet").disabled = !epoch.hasStamp;
  by("stamps").dataset.candid = epoch.hasStamp ? epoch.candid : "";
  plot.mark(plot.points.find((point) => point.data === epoch) ?? null);
}
function step(by_) {
  const index = stamped.indexOf(shown);
  const next = index < 0 ? stamped.at(-1) : stamped[Math.max(0, Math.min(stamped.length - 1, index + by_))];
  if (next) choose(next);
}
by("earlier").addEventListener("click", () => step(-1));
by("later").addEventListener("click", () => step(1));
by("crosshair").addEventListener("change", () => choose(shown));

// Drawers.
by("open-provenance").addEventListener("click", () => by("provenance").showModal());
let fields = [];
function listFields() {
  const wanted = by("packet-filter").value.toLowerCase();
  const table = document.createElement("table");
  for (const [name, value] of fields) {
    if (wanted && !`${name} ${value}`.toLowerCase().includes(wanted)) continue;
    const row = table.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head);
    row.insertCell().textContent = value;
  }
  by("packet-fields").replaceChildren(table);
}
function flat(value, name = "") {
  if (Array.isArray(value)) return value.flatMap((item, i) => flat(item, `${name}[${i}]`));
  if (value && typeof value === "object") return Object.entries(value).flatMap(([k, v]) => flat(v, name ? `${name}.${k}` : k));
  const text = value === null ? "–" : String(value);
  return [[name, text.length > 200 ? `${Math.round((text.length * 3) / 4).toLocaleString("en")} bytes` : text]];
}
by("open-packet").addEventListener("click", async () => {
  by("packet").showModal();
  by("packet-fields").textContent = "Reading …";
  const answer = await fetch(`/api/v1/alerts/${shown.candid}/packet`);
  if (!answer.ok) { by("packet-fields").textContent = (await answer.json()).detail; return; }
  fields = flat(await answer.json());
  listFields();
});
by("packet-filter").addEventListener("input", listFields);

// The sky is another site's script and images: in a frame that can reach nothing of this page, and only when asked for.
by("open-sky").addEventListener("click", ({ target }) => {
  const frame = document.createElement("iframe");
  frame.src = target.dataset.src;
  frame.title = `The sky around ${data.oid}`;
  frame.className = "skyframe";
  by("sky").replaceChildren(frame);
});

setPeriod(Number(by("period").value));
if (shown) choose(shown);

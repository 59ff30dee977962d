// SN Hunter: one candidate at a time, decided by a key; each decision is stored at once with who and when.
import { showStamps } from "./stamps.js";

const by = (id) => document.getElementById(id);
const rows = JSON.parse(by("rows")?.textContent ?? "[]");
const lines = [...document.querySelectorAll("#candidates tbody tr")];
const KEYS = { c: "candidate", b: "bogus", k: "known", s: "skip" };
let current = 0;

const number = (value, digits, unit = "") => (value == null ? "–" : `${value.toFixed(digits)}${unit}`);

function neighbour(row, k) {
  if (!row[`alert_ps1_id_${k}`]) return "none within 30″";
  const score = row[`alert_ps1_star_score_${k}`];
  const kind = score == null ? "" : score > 0.8 ? ", star-like" : score < 0.2 ? ", galaxy-like" : ", star or galaxy";
  return `${row[`alert_ps1_id_${k}`]} at ${number(row[`alert_ps1_distance_${k}`], 2, "″")}${kind} (star score ${number(score, 2)})`;
}

function facts(row) {
  const rise = row.last_mjd - row.first_mjd;
  return {
    position: row.coordinates,
    alert: `${row.utc} UTC, ${row.alert_band} ${number(row.alert_mag, 2)} ± ${number(row.alert_mag_err, 2)} mag${row.alert_positive ? "" : ", fainter than the reference"}`,
    score: `${number(100 * row.probability, 1, "%")} over ${row.n_alerts} alerts`,
    seen: `${row.n_det} detections in ${number(rise, 1)} d`,
    "first rise": row.dmdt_first == null ? "no upper limit before it" : `at least ${number(-row.dmdt_first, 2)} mag a day in ${row.alert_band}`,
    "real-bogus": `${number(row.alert_real_bogus, 2)}, deep ${number(row.alert_deep_real_bogus, 2)}`,
    "reference source": number(row.alert_ref_distance, 2, "″"),
    host: row.host_catalog ? `${row.host_catalog} ${row.host_catalog_id} at ${number(row.host_separation, 2, "″")}, ${number(100 * row.host_probability, 0, "%")}${row.host_redshift == null ? "" : `, z = ${number(row.host_redshift, 4)}, so ${number(row.host_absolute_mag, 1)} mag absolute`}` : "none found",
    ...Object.fromEntries([1, 2, 3].filter((k) => k === 1 || row[`alert_ps1_id_${k}`]).map((k) => [`Pan-STARRS1${k > 1 ? ` (${k})` : ""}`, neighbour(row, k)])),
    Gaia: row.alert_gaia_mag == null ? "–" : `G ${number(row.alert_gaia_mag, 1)} at ${number(row.alert_gaia_distance, 2, "″")}`,
    TNS: row.tns ?? "nothing known here, no report",
    rules: row.rules_score == null ? "not looked at" : `${row.rules_passed ? "a candidate" : "no candidate"}, score ${number(row.rules_score, 2)}`,
    "Solar System": row.alert_ss_distance == null ? "nothing known close by" : `known object at ${number(row.alert_ss_distance, 1, "″")}`,
  };
}

function show(index) {
  current = Math.max(0, Math.min(rows.length - 1, index));
  const row = rows[current];
  for (const [i, line] of lines.entries()) line.classList.toggle("current", i === current);
  lines[current].scrollIntoView({ block: "nearest" });
  by("name").textContent = row.oid;
  by("open").href = `/objects/${row.oid}`;
  showStamps(by("stamps"), row.candid, `${row.oid}, ${row.utc} UTC`);
  by("facts").replaceChildren();
  for (const [name, value] of Object.entries(facts(row))) {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    text.textContent = value;
    by("facts").append(term, text);
  }
  by("elsewhere").replaceChildren();
  for (const [name, href] of Object.entries(row.links)) {
    const [item, link] = [document.createElement("li"), document.createElement("a")];
    Object.assign(link, { href, textContent: name, target: "_blank", rel: "noopener noreferrer" });
    item.append(link);
    by("elsewhere").append(item);
  }
  for (const circle of document.querySelectorAll(".skymap .place")) circle.classList.toggle("current", circle.dataset.oid === row.oid);
  by("said").textContent = row.decision ? `${row.decision.verdict} by ${row.decision.person}, ${row.decision.at} UTC` : "";
}

// The next candidate in a direction, over those that are hidden.
function next(step) {
  for (let i = current + step; i >= 0 && i < rows.length; i += step) if (!lines[i].hidden) return i;
  return current;
}

function filter() {
  for (const [i, line] of lines.entries()) line.hidden = by("open-only").checked && Boolean(rows[i].decision);
  const done = rows.filter((row) => row.decision).length;
  by("done").textContent = `${done} of ${rows.length} decided`;
}

async function decide(verdict) {
  const index = current;
  const row = rows[index];
  const headers = { "Content-Type": "application/json" };
  if (by("token")?.value) headers.Authorization = `Bearer ${by("token").value}`;
  const body = JSON.stringify({ oid: row.oid, verdict, person: by("person").value.trim() || "anonymous", candid: row.candid, classifier: by("context").dataset.classifier });
  let fault = null;
  try {
    const answer = await fetch("/api/v1/decisions", { method: "POST", headers, body });
    const said = await answer.json();
    if (!answer.ok) fault = said.detail;
    else row.decision = { verdict: said.verdict, person: said.person, at: said.decided_at.replace("T", " ").slice(0, 19) };
  } catch {
    fault = "the server does not answer; nothing was stored";
  }
  if (fault) {
    by("said").textContent = `Not stored: ${fault}`;
    return;
  }
  lines[index].querySelector(".decision").textContent = verdict;
  filter();
  show(index === current ? next(1) : current);
}

if (rows.length) {
  by("person").value = localStorage.getItem("person") ?? "";
  by("person").addEventListener("change", () => localStorage.setItem("person", by("person").value));
  by("who").addEventListener("submit", (event) => event.preventDefault());
  for (const line of lines) line.addEventListener("click", () => show(Number(line.dataset.index)));
  for (const button of document.querySelectorAll("[data-verdict]")) button.addEventListener("click", () => decide(button.dataset.verdict));
  for (const circle of document.querySelectorAll(".skymap .place")) {
    circle.addEventListener("click", () => show(rows.findIndex((row) => row.oid === circle.dataset.oid)));
  }
  addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (KEYS[event.key]) decide(KEYS[event.key]);
    else if (event.key === "ArrowDown") { event.preventDefault(); show(next(1)); }
    else if (event.key === "ArrowUp") { event.preventDefault(); show(next(-1)); }
    else if (event.key === "Enter" && !event.target.closest("a, button")) location.href = by("open").href;
  });
  by("open-only").addEventListener("change", filter);
  filter();
  show(0);
}

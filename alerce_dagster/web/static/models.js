// Fitted models over the light curve: fetched when they are first asked for.
let found = null;

const number = (value) => (value == null ? "–" : Math.abs(value) >= 1000 || Math.abs(value) < 0.01 ? value.toExponential(2) : String(Number(value.toPrecision(3))));

// Reads the models of an object and says below the controls what they are; true when there is any to draw.
export async function load(oid, place) {
  if (found) return found.length > 0;
  place.textContent = "Reading the models …";
  let told;
  try {
    const answer = await fetch(`/api/v1/objects/${oid}/models`);
    told = await answer.json();
    if (!answer.ok) throw new Error(told.detail);
  } catch (error) {
    place.textContent = `The models cannot be read: ${error.message}`;
    return false;
  }
  found = told.models;
  place.replaceChildren();
  if (!found.length) {
    place.textContent = `No model to draw: ${told.reason ?? "none could be fitted"}.`;
    return false;
  }
  const table = document.createElement("table");
  for (const model of found) {
    const row = table.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = `${{ SPM: "supernova model", DRW: "random walk" }[model.model]}, ${model.band}`;
    row.append(head);
    row.insertCell().textContent = Object.entries(model.parameters).map(([name, value]) => `${name.replace(/^(SPM|GP_DRW)_/, "")} ${number(value)}`).join(", ");
  }
  const words = document.createElement("p");
  words.textContent = `Solid: supernova parametric model; dashed: damped random walk with ±1 sigma. Fitted to the difference flux of ${told.n_det} detections in g and r${told.newer > 0 ? `; ${told.newer} more have been stored since` : ""}.`;
  place.append(words, table);
  return true;
}

// Lines for the plot in the chosen quantity: [] where a model has no such quantity.
export function lines(quantity, zeroPoint) {
  if (!found || quantity === "apparent") return [];
  const shown = quantity === "flux" ? (f) => f : (f) => (f > 0 ? zeroPoint - 2.5 * Math.log10(f) : null);
  return found.map((model) => ({
    kind: `band-${model.band} ${model.model.toLowerCase()}`,
    points: model.mjd.map((mjd, i) => [mjd, shown(model.flux[i])]),
    band: model.sd && quantity === "flux" ? model.mjd.map((mjd, i) => [mjd, model.flux[i] - model.sd[i], model.flux[i] + model.sd[i]]) : null,
  }));
}

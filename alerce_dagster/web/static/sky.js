// Inside the sky frame: Aladin Lite (from the CDS) around an object, with what this broker knows laid over it.
const data = JSON.parse(document.getElementById("sky-data").textContent);
const place = document.getElementById("aladin");

function fail(reason) {
  place.textContent = `The sky cannot be shown: ${reason}. Everything else on the page works without it.`;
  document.body.dataset.state = "failed";
}

// Aladin Lite keeps its settings in the browser, which a sandboxed frame has no right to: here they last as long as it.
const kept = new Map();
const storage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, String(value)), removeItem: (name) => kept.delete(name) };
for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, { value: storage });

async function show() {
  await A.init;
  const sky = A.aladin(place, { target: `${data.ra} ${data.dec}`, fov: 0.06, survey: "P/PanSTARRS/DR1/color-z-zg-g", cooFrame: "ICRSd", reticleColor: "#ffd166", showShareControl: false });
  const footprint = A.graphicOverlay({ name: "cutouts", color: "#ffd166", lineWidth: 2 });
  sky.addOverlay(footprint);
  footprint.add(A.polygon(data.footprint));
  const rings = A.graphicOverlay({ name: "cross-matches", color: "#c79bff", lineWidth: 1 });
  sky.addOverlay(rings);
  for (const arcsec of data.rings) rings.add(A.circle(data.ra, data.dec, Math.max(arcsec, 0.1) / 3600));
  for (const { name, color, shape, sources } of data.catalogues) {
    const layer = A.catalog({ name, color, shape, sourceSize: 12, onClick: "showTable" });
    sky.addCatalog(layer);
    layer.addSources(sources.map((source) => A.source(source.ra, source.dec, source.values)));
  }
  const [target, radius] = [{ ra: data.ra, dec: data.dec }, 0.05];
  sky.addCatalog(A.catalogFromSimbad(target, radius, { name: "SIMBAD", color: "#58c77a", onClick: "showTable" }));
  sky.addCatalog(A.catalogFromVizieR("I/355/gaiadr3", target, radius, { name: "Gaia DR3", color: "#86bdff", limit: 500, onClick: "showTable" }));
  document.body.dataset.state = "shown";
}

const script = document.createElement("script");
script.src = data.aladin;
script.addEventListener("error", () => fail("the CDS (aladin.cds.unistra.fr) cannot be reached from here"));
script.addEventListener("load", () => show().catch((error) => fail(error.message ?? String(error))));
document.head.append(script);

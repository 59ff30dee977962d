// Data-release epochs at the object's place: fetched when they are first asked for.
const BANDS = { 1: "g", 2: "r", 3: "i" };
let epochs = null;

const percent = (value) => `${(100 * value).toFixed(0)}%`;
const said = (item) => {
  const variable = item.probability == null ? item.reason : `variable with a probability of ${percent(item.probability)}`;
  return `${BANDS[item.filterid]}, field ${item.fieldid}, ${item.usable.filter(Boolean).length} of ${item.nepochs} epochs, ${item.separation.toFixed(1)}″ away: ${variable}`;
};

// The epochs, empty until they are read; good ones only, with recalibrated apparent magnitudes and heliocentric times.
export const released = () => epochs ?? [];

// Reads them and says in `place` what there is; true when there is any.
export async function load(oid, place) {
  if (epochs) return epochs.length > 0;
  place.textContent = "Reading the data release …";
  let told;
  try {
    const answer = await fetch(`/api/v1/objects/${oid}/release`);
    told = await answer.json();
    if (!answer.ok) throw new Error(told.detail);
  } catch (error) {
    place.textContent = `The data release cannot be read: ${error.message}`;
    return false;
  }
  epochs = told.items.flatMap((item) => item.hmjd.map((mjd, k) => (
    { type: "release", mjd, band: BANDS[item.filterid], magCorr: item.mag[k], magCorrErr: item.magerr[k], usable: item.usable[k] })).filter((epoch) => epoch.usable && epoch.magCorr != null));
  place.textContent = told.items.length
    ? `Data release, recalibrated, drawn among apparent magnitudes (heliocentric MJD). ${told.items.map(said).join("; ")}.`
    : "No light curve of a data release is here within 1.5″ of this object.";
  return epochs.length > 0;
}

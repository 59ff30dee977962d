// Science, template and difference of one alert.
export function showStamps(place, candid, caption, crosshair = true) {
  place.replaceChildren();
  if (!candid) {
    place.textContent = "This epoch is known from a later alert's history: its own packet, with cutouts, was not received.";
    return;
  }
  for (const kind of ["science", "template", "difference"]) {
    const figure = document.createElement("figure");
    const frame = document.createElement("div");
    frame.className = crosshair ? "frame crosshair" : "frame";
    const image = new Image();
    image.src = `/api/v1/alerts/${candid}/stamp?kind=${kind}`;
    image.alt = `${kind} cutout, ${caption}`;
    image.addEventListener("error", () => { frame.replaceChildren(`no ${kind} cutout`); });
    const text = document.createElement("figcaption");
    const link = document.createElement("a");
    link.href = `/api/v1/alerts/${candid}/stamp?kind=${kind}&format=fits`;
    link.textContent = "fits";
    link.ariaLabel = `${kind} as FITS`;
    text.append(`${kind} `, link);
    frame.append(image);
    figure.append(frame, text);
    place.append(figure);
  }
  const words = document.createElement("p");
  words.className = "caption";
  words.textContent = caption;
  place.append(words);
}

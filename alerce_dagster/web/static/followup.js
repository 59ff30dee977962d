// Observability of the object: the panel comes from the server, for the site that was looked at last.
const section = document.getElementById("followup");
const place = document.getElementById("visibility");

async function show(site, date, focus) {
  const query = new URLSearchParams();
  if (site) query.set("site", site);
  if (date) query.set("date", date);
  const answer = await fetch(`/objects/${encodeURIComponent(section.dataset.oid)}/visibility?${query}`);
  if (!answer.ok && site) {
    localStorage.removeItem("site");
    return show(null, null, focus);
  }
  if (!answer.ok) {
    place.textContent = "What can be seen tonight could not be worked out.";
    return;
  }
  place.innerHTML = await answer.text();
  const form = place.querySelector("form");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    localStorage.setItem("site", form.site.value);
    if (form.checkValidity()) show(form.site.value, form.date.value, event.target.id);
  });
  if (focus) document.getElementById(focus)?.focus();
}

show(localStorage.getItem("site"), null, null);

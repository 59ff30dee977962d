// Keys over the results, and searches kept in this browser.
const rows = [...document.querySelectorAll("#results tbody tr")];
let current = -1;

addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { j: 1, k: -1 }[event.key];
  if (!step || !rows.length) return;
  current = Math.max(0, Math.min(rows.length - 1, current + step));
  rows[current].querySelector("a").focus();
});

// A form sends its empty fields too; the URL is kept to what was asked.
document.getElementById("filters").addEventListener("submit", (event) => {
  for (const field of event.target.elements) if (!field.value) field.disabled = true;
});
addEventListener("pageshow", () => {
  for (const field of document.getElementById("filters").elements) field.disabled = false;
});

const read = () => JSON.parse(localStorage.getItem("searches") ?? "{}");
const place = document.getElementById("saved");

function list() {
  place.replaceChildren();
  for (const [name, query] of Object.entries(read())) {
    const item = document.createElement("span");
    const link = document.createElement("a");
    link.href = `/explorer${query}`;
    link.textContent = name;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "×";
    remove.ariaLabel = `Forget the search ${name}`;
    remove.addEventListener("click", () => {
      const kept = read();
      delete kept[name];
      localStorage.setItem("searches", JSON.stringify(kept));
      list();
    });
    item.append(link, remove);
    place.append(item);
  }
}

document.getElementById("save").addEventListener("click", () => {
  const name = prompt("Name of this search");
  if (!name) return;
  localStorage.setItem("searches", JSON.stringify({ ...read(), [name]: location.search }));
  list();
});
list();

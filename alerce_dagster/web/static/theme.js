// Light, dark, or as the system has it; kept in the browser. Runs before the page is painted.
const themes = ["auto", "light", "dark"];
const apply = (theme) => { document.documentElement.dataset.theme = theme; };
apply(localStorage.getItem("theme") ?? "auto");

addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  const say = () => { button.textContent = `Theme: ${document.documentElement.dataset.theme}`; };
  say();
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
    localStorage.setItem("theme", next);
    apply(next);
    say();
  });
  addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      document.getElementById("quick").focus();
    }
  });
});

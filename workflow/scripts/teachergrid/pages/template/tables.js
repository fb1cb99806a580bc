// Sort a table by a column: numbers by data-v, else by text; a second press turns the order round.
for (const head of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending";
    const key = (row) => {
      const cell = row.cells[head.cellIndex] ?? row.cells[row.cells.length - 1]; // a cell may span the rest
      const value = cell.dataset.v ?? cell.textContent.trim();
      return value === "" || isNaN(value) ? value : Number(value);
    };
    const known = (value) => value !== "" && value !== "—";
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (!known(x) || !known(y)) return known(y) - known(x); // what is unknown stays last
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return up ? order : -order;
    });
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...rows);
  });
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
// Say where a table or drawing is wider than the page, since phones show no scroll bar.
const hint = () => document.querySelectorAll(".box, .wide").forEach((box) => box.classList.toggle("wider", box.scrollWidth > box.clientWidth + 2));
hint();
addEventListener("resize", hint);
document.addEventListener("toggle", hint, true); // what is folded has no width

// Tables of the class "sortable": a click on a column head sorts by that column, a second click reverses the order.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => {
        const cell = row.cells[column];
        return cell.dataset.value ?? cell.textContent.trim();
      };
      const compare = (a, b) => {
        if (a === "" || b === "") return (a === "") - (b === ""); // Empty cells stay last.
        const numbers = isFinite(a) && isFinite(b);
        return (up ? 1 : -1) * (numbers ? a - b : a.localeCompare(b));
      };
      body.append(...Array.from(body.rows).sort((a, b) => compare(value(a), value(b))));
    });
  });
}

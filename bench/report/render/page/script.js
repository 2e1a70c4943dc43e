"use strict";
// Sorting: a click on a heading sorts each block of the table by that column, largest numbers or first letters first;
// further clicks turn the order round, and bring back the order of the paper.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  let bodies; // in the order of the page, seen when somebody first sorts: there may be thousands of rows
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      bodies ??= [...table.tBodies].map((body) => ({
        body,
        section: body.querySelector("tr.section"),
        rows: rowsWithTheirs(body),
      }));
      const numeric = heading.classList.contains("number");
      const order = numeric ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
      const next = order[(order.indexOf(heading.getAttribute("aria-sort")) + 1) % 3];
      headings.forEach((other) => other.setAttribute("aria-sort", other === heading ? next : "none"));
      for (const { body, section, rows } of bodies) {
        const sorted = next === "none" ? rows : [...rows].sort(([a], [b]) => compare(a, b, column, numeric, next));
        body.replaceChildren(...(section ? [section] : []), ...sorted.flat());
      }
    });
  });
}

// Each row with the rows that belong under it: published values, differences.
function rowsWithTheirs(body) {
  const found = [];
  for (const row of body.rows) {
    if (row.classList.contains("under")) found[found.length - 1].push(row);
    else if (!row.classList.contains("section")) found.push([row]);
  }
  return found;
}

function compare(a, b, column, numeric, order) {
  const [x, y] = [a, b].map((row) => row.cells[column].dataset.value);
  // What is not there stays at the end, whichever the order.
  if (x === "" || y === "") return (x === "") - (y === "");
  const difference = numeric ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true });
  return order === "ascending" ? difference : -difference;
}

// Filtering: rows of a table with all of the words that were typed.
for (const input of document.querySelectorAll(".filter input")) {
  const table = document.getElementById(input.dataset.table);
  const count = document.getElementById(`${input.id}-count`);
  let rows;
  input.addEventListener("input", () => {
    rows ??= [...table.tBodies].flatMap(rowsWithTheirs).map((group) => [group, group[0].textContent.toLowerCase()]);
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const [group, text] of rows) {
      const fits = words.every((word) => text.includes(word));
      for (const row of group) row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length}`;
  });
}

// What is folded away is printed, too.
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

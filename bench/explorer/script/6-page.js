// What happens when: filters, clicks, keys, the address.

let filters = null;
let counted = [];

// Everything anew, after the filters or the address changed.
function refresh() {
  filters = readFilters();
  counted = count(filters);
  showRuns(counted);
  const inside = counted.reduce((sum, d) => sum + d.inside, 0);
  const matching = counted.filter((d) => d.matches).length;
  document.getElementById("counted").textContent = inside
    ? `Counted over ${matching.toLocaleString("en")} of ${counted.length.toLocaleString("en")} documents.`
    : "No triple passes these filters.";
  listDocuments(counted, filters);
  open(state.row);
}

// Show a document, keeping the chosen triple and entity if they are of it.
function open(row) {
  if (!DATA.documents.length) return;
  if (row !== state.row) state.triple = state.entity = null;
  state.row = row;
  const shown = documentAt(row);
  showDocument(shown);
  showColumns();
  showTriples(shown, filters);
  markCurrent();
}

function go(row) {
  open(row);
  remember(true);
}

// The document `by` places further down the list.
function step(by) {
  if (!listed.length) return;
  const at = listed.findIndex((d) => d.row === state.row);
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), listed.length - 1);
  while (drawn <= next) drawMore();
  go(listed[next].row);
}

function pick(triple) {
  state.triple = triple;
  choose(documentAt(state.row));
  for (const row of document.querySelectorAll("#rows .detail, #rows tr.chosen")) row.scrollIntoView({ block: "nearest" });
  remember(false);
}

function stepTriple(by) {
  const shown = documentAt(state.row);
  const triples = shownTriples(shown, filters);
  if (!triples.length) return;
  const at = triples.indexOf(state.triple);
  pick(triples[at < 0 ? (by > 0 ? 0 : triples.length - 1) : Math.min(Math.max(at + by, 0), triples.length - 1)]);
}

function pickEntity(id) {
  state.entity = state.entity === id ? null : id;
  showTriples(documentAt(state.row), filters);
  remember(false);
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  n: () => stepTriple(1),
  p: () => stepTriple(-1),
  "/": () => form.elements.q.focus(),
  "?": () => document.getElementById("help").showModal(),
  Escape: () => {
    if (state.triple) pick(null);
    else if (state.entity !== null) pickEntity(state.entity);
  },
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.matches?.("input, select, textarea");
  if (typing && event.key === "Escape") event.target.blur();
  if (typing || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
}

function onClick(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  const at = (selector) => event.target.closest(selector);
  const link = at("#list a");
  if (link) {
    event.preventDefault();
    go(Number(link.dataset.row));
  } else if (at("#skip")) {
    event.preventDefault(); // its address would be taken for a title
    document.getElementById("document").focus();
  } else if (at("#previous")) step(-1);
  else if (at("#next")) step(1);
  else if (at("#help-button")) KEYS["?"]();
  else if (at("#chosen-entity button")) pickEntity(state.entity);
  else if (at("#rows thead button")) sortBy(at("#rows thead button").dataset.column);
  else if (at("#entities button")) pickEntity(Number(at("#entities button").dataset.entity));
  else if (at("#text .mention")) pickEntity(Number(at("#text .mention").dataset.entity));
  else if (at("#rows tr[data-triple]")) {
    const key = at("tr").dataset.triple;
    const triple = documentAt(state.row).triples.find((t) => [t.head, t.tail, t.relation].join("-") === key);
    pick(triple === state.triple ? null : triple);
  }
}

function sortBy(column) {
  const again = state.order.column === column;
  // Margins are looked at from the highest down.
  state.order = { column, descending: again ? !state.order.descending : column.startsWith("run:") };
  showColumns();
  showTriples(documentAt(state.row), filters);
  document.querySelector(`#rows thead button[data-column="${column}"]`).focus();
}

function setUp() {
  const triples = DATA.documents.reduce((sum, d) => sum + d[3].length / FIELDS, 0);
  document.getElementById("size").textContent =
    `${DATA.documents.length.toLocaleString("en")} documents, ${triples.toLocaleString("en")} triples, ` +
    `${DATA.runs.length} run${DATA.runs.length === 1 ? "" : "s"}`;
  const relations = DATA.relations.map(([id, name, frequency]) => ({ id, name, frequency })).sort((a, b) => b.frequency - a.frequency);
  form.elements.relation.append(make("option", { value: "" }, "any"), ...relations.map(({ id, name, frequency }) =>
    make("option", { value: id }, `${name}${name === id ? "" : ` (${id})`}: ${frequency}`)));
  form.elements.run.append(make("option", { value: "" }, DATA.runs.length > 1 ? "any run" : LETTERS[0] ?? ""),
    ...(DATA.runs.length > 1 ? DATA.runs.map((run, i) => make("option", { value: i }, `${LETTERS[i]} ${nameOf(run)}`)) : []));
  form.elements.run.parentElement.hidden = DATA.runs.length < 2;
  if (DATA.runs.length < 2) form.elements.kind.querySelector("[value=differ]").remove();
  form.elements.distance.parentElement.hidden = !DATA.sentences;
  form.elements.seen.parentElement.hidden = !DATA.facts;
  const table = document.getElementById("rows");
  table.classList.toggle("many", DATA.runs.length > 2);
  table.style.setProperty("--runs", DATA.runs.length);
  form.addEventListener("input", () => { refresh(); remember(false); });
  form.addEventListener("reset", (event) => {
    event.preventDefault(); // the fields would be as before until after this event
    for (const name of FILTERS) form.elements[name].value = "";
    refresh();
    remember(false);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  window.addEventListener("popstate", () => { recall(); refresh(); });
  if (matchMedia("(max-width: 700px)").matches) document.getElementById("list-fold").open = false;
  recall();
  refresh();
  remember(false);
}

setUp();

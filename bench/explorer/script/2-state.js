// What is looked at and how it is filtered, kept in the address: #doc=Title&relation=P17&kind=missed&triple=0-3-17
const FILTERS = ["q", "relation", "kind", "run", "distance", "frequency", "seen", "sort"];
const form = document.getElementById("filters");

const state = { row: 0, triple: null, entity: null, order: { column: "head", descending: false } };

function readFilters() {
  const values = Object.fromEntries(FILTERS.map((name) => [name, form.elements[name].value]));
  return { ...values, run: values.run === "" ? -1 : Number(values.run) };
}

function address() {
  const parts = new URLSearchParams({ doc: DATA.documents[state.row]?.[0] ?? "" });
  for (const name of FILTERS) if (form.elements[name].value) parts.set(name, form.elements[name].value);
  if (state.triple) parts.set("triple", [state.triple.head, state.triple.tail, state.triple.relation].join("-"));
  if (state.entity !== null) parts.set("entity", state.entity);
  return `#${parts.toString().replaceAll("+", "%20")}`;
}

function remember(another) {
  if (location.hash !== address()) history[another ? "pushState" : "replaceState"](null, "", address());
}

// Take the address at its word, as far as it makes sense; a bare #Title will do.
function recall() {
  const hash = location.hash.slice(1);
  const parts = new URLSearchParams(/(^|&)doc=/.test(hash) ? hash : "");
  for (const name of FILTERS) form.elements[name].value = parts.get(name) ?? "";
  for (const select of form.querySelectorAll("select")) if (select.selectedIndex < 0) select.selectedIndex = 0;
  const title = parts.get("doc") ?? decoded(hash);
  const row = DATA.documents.findIndex((d) => d[0] === title);
  state.row = Math.max(row, 0);
  state.triple = state.entity = null;
  if (!DATA.documents.length) return;
  const shown = documentAt(state.row);
  const key = parts.get("triple");
  state.triple = shown.triples.find((t) => [t.head, t.tail, t.relation].join("-") === key) ?? null;
  const entity = Number(parts.get("entity") ?? NaN);
  if (shown.entities[entity]) state.entity = entity;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

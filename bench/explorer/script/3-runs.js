// The table of runs, and the list of documents.

// An element with attributes, and children that are elements or text; nothing is ever parsed as HTML.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// What tells the runs of the page apart, in a few words: the model, and what not all have in common.
function nameOf(run) {
  const varying = ["setting", "encoder", "seed"].filter((f) => new Set(DATA.runs.map((r) => r[f])).size > 1);
  const model = run.variant ? `${run.model} (${run.variant})` : run.model;
  const rest = varying.map((f) => (f === "seed" ? `seed ${run.seed}` : run[f]));
  return [model, ...rest].join(" · ");
}

// How a run decides, as a sentence.
function ruleOf(run) {
  if (run.unscored) return `(no scores: ${run.unscored})`;
  if (run.outside) return `it is listed in a file that was imported; the score given with it is shown beside ${run.against}`;
  const against = run.against === "the threshold class" ? "that of the threshold class" : run.against;
  if (run.decides) return `its logit is above ${against}`;
  const chosen = Object.entries(run.decision).map(([name, value]) => `${name} = ${value}`).join(", ");
  const rule = run.inference ? `the inference of ${run.inference} says so` : "its model says so";
  return `${rule}${chosen ? ` (${chosen})` : ""}; the logit shown is of the whole document, beside ${against}: they do not decide alone`;
}

function showRuns(counted) {
  const rows = DATA.runs.map((run, i) => {
    const total = { found: 0, missed: 0, wrong: 0 };
    for (const { counts } of counted) for (const kind of Object.keys(total)) total[kind] += counts[i][kind];
    const scores = scoresOf(total);
    const about = [run.setting, run.encoder, `seed ${run.seed}`].join(", ");
    const numbers = [total.found, total.missed, total.wrong].map((n) => n.toLocaleString("en"));
    const percents = [scores.f1, scores.precision, scores.recall].map((x) => x.toFixed(2));
    return make("tr", {},
      make("th", { scope: "row", title: run.folder }, make("span", { class: "letter" }, LETTERS[i]), ` ${nameOf(run)} `,
        make("small", {}, about)),
      ...[...percents, ...numbers].map((text) => make("td", { class: "number" }, text)),
      make("td", { class: "rule" }, ruleOf(run)));
  });
  document.querySelector("#runs tbody").replaceChildren(...rows);
}

const CHUNK = 200;
let listed = [];
let drawn = 0;
const end = new IntersectionObserver((seen) => seen.some((e) => e.isIntersecting) && drawMore());

function listDocuments(counted, filters) {
  const narrowed = filters.relation || filters.kind || filters.distance || filters.frequency || filters.seen;
  const run = Math.max(filters.run, 0);
  const errors = (d) => d.counts[run].missed + d.counts[run].wrong;
  const orders = {
    title: (a, b) => a.title.localeCompare(b.title),
    errors: (a, b) => errors(b) - errors(a),
    f1: (a, b) => scoresOf(a.counts[run]).f1 - scoresOf(b.counts[run]).f1,
    matches: (a, b) => b.shown - a.shown,
  };
  listed = counted.filter((d) => d.matches && (!narrowed || d.shown));
  if (filters.sort) listed.sort(orders[filters.sort]);
  const triples = listed.reduce((sum, d) => sum + d.shown, 0);
  document.getElementById("list-count").textContent =
    `${listed.length.toLocaleString("en")} of ${counted.length.toLocaleString("en")}, ` +
    `${triples.toLocaleString("en")} triple${triples === 1 ? "" : "s"}${DATA.runs.length > 1 ? `; ✓○✗ of ${LETTERS[run]}` : ""}`;
  drawn = 0;
  document.getElementById("list").replaceChildren();
  drawMore();
}

// The next part of the list. The document that is open is always in it, with some that follow.
function drawMore() {
  const list = document.getElementById("list");
  const current = listed.findIndex((d) => d.row === state.row);
  const until = Math.min(listed.length, Math.max(drawn + CHUNK, current + CHUNK / 4));
  const run = Math.max(readFilters().run, 0);
  list.append(...listed.slice(drawn, until).map((d) => listItem(d, run)));
  drawn = until;
  end.disconnect();
  if (drawn < listed.length) end.observe(list.lastElementChild);
}

function listItem({ row, title, counts, shown }, run) {
  const { found, missed, wrong } = counts[run];
  const parts = make("span", { class: "counts" },
    make("span", { class: "found" }, `✓${found}`), " ", make("span", { class: "missed" }, `○${missed}`), " ",
    make("span", { class: "wrong" }, `✗${wrong}`));
  parts.setAttribute("aria-label", `${found} found, ${missed} missed, ${wrong} wrong`);
  parts.setAttribute("role", "img");
  const link = make("a", { href: `#doc=${encodeURIComponent(title)}`, "data-row": row, title: `${shown} triples shown` },
    make("bdi", { class: "name" }, title), parts);
  if (row === state.row) link.setAttribute("aria-current", "true");
  return make("li", {}, link);
}

function markCurrent() {
  for (const link of document.querySelectorAll("#list a[aria-current]")) link.removeAttribute("aria-current");
  const link = document.querySelector(`#list a[data-row="${state.row}"]`);
  if (!link) return;
  link.setAttribute("aria-current", "true");
  const list = document.getElementById("list");
  const [item, around] = [link.getBoundingClientRect(), list.getBoundingClientRect()];
  // Not scrollIntoView: the page itself is to stay where it is.
  if (item.top < around.top || item.bottom > around.bottom) list.scrollTop += item.top - around.top - 40;
}

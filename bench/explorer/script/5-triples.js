// The table of the triples of a document: a row each, a column per run, and below a chosen row what is known of it.

const signed = (x) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(2)}`;
const NO_SCORE = "no score kept: neither predicted nor labelled, nor among the nearest";
const NO_NUMBER = "unknown: the model's score is not a finite number";

function shownTriples(shown, filters) {
  const name = (id) => shown.entities[id].name;
  const [column, run] = state.order.column.split(":");
  const value = {
    relation: (t) => DATA.relations[t.relation][1],
    head: (t) => t.head,
    tail: (t) => t.tail,
    // What has no score comes after what has one, whichever way.
    run: (t) => t.runs[run].margin ?? (state.order.descending ? -Infinity : Infinity),
  }[column];
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b || 0);
  const turn = state.order.descending ? -1 : 1;
  return shown.triples
    .filter((t) => inSlice(filters, t.relation, t.flags))
    .filter((t) => isShown(filters.kind, filters.run, t.runs.map((r) => r.verdict)))
    .filter((t) => state.entity === null || t.head === state.entity || t.tail === state.entity)
    .sort((a, b) => turn * compare(value(a), value(b)) || name(a.head).localeCompare(name(b.head)) || a.at - b.at);
}

function showTriples(shown, filters) {
  const triples = shownTriples(shown, filters);
  document.getElementById("triples-count").textContent = `${triples.length} of ${shown.triples.length}`;
  const body = document.querySelector("#rows tbody");
  body.replaceChildren(...triples.map((t) => tripleRow(shown, t)));
  if (!triples.length) {
    const none = "No triple of this document passes the filters. → leads to one that has some.";
    body.append(make("tr", {}, make("td", { colspan: 3 + DATA.runs.length, class: "quiet" }, none)));
  }
  const chosen = document.getElementById("chosen-entity");
  chosen.hidden = state.entity === null;
  if (state.entity !== null) {
    chosen.firstElementChild.replaceChildren("Only those of ", chip(shown.entities[state.entity]), " · ");
  }
  choose(shown);
}

function tripleRow(shown, triple) {
  const [id, name] = DATA.relations[triple.relation];
  const key = [triple.head, triple.tail, triple.relation].join("-");
  const open = make("button", { type: "button", class: "relation", "aria-expanded": "false", title: id }, name);
  const cells = triple.runs.map((said) => {
    const cell = make("td", { class: `verdict ${said.verdict}` },
      make("span", { class: "sign", "aria-hidden": "true" }, SIGNS[said.verdict]),
      make("span", { class: DATA.runs.length > 2 ? "word unseen" : "word" }, ` ${WORDS[said.verdict]} `));
    const none = said.unknown ? [NO_NUMBER, "?"] : [NO_SCORE, "–"];
    cell.append(said.margin === null ? make("span", { class: "number quiet", title: none[0] }, none[1]) : make("span", { class: "number" }, signed(said.margin)));
    return cell;
  });
  return make("tr", { "data-triple": key }, make("td", {}, open), make("td", {}, chip(shown.entities[triple.head])),
    make("td", {}, chip(shown.entities[triple.tail])), ...cells);
}

function showColumns() {
  const columns = [["relation", "Relation"], ["head", "Head"], ["tail", "Tail"]];
  LETTERS.forEach((letter, i) => columns.push([`run:${i}`, letter]));
  document.querySelector("#rows thead tr").replaceChildren(...columns.map(([column, text]) => {
    const run = column.startsWith("run:") ? DATA.runs[column.slice(4)] : null;
    const button = make("button", { type: "button", "data-column": column, title: run ? `margin of ${nameOf(run)}` : null }, text);
    const sorted = state.order.column === column;
    return make("th", { scope: "col", "aria-sort": sorted ? (state.order.descending ? "descending" : "ascending") : "none" }, button);
  }));
}

// Open the row of the chosen triple, close any other.
function choose(shown) {
  document.querySelector("#rows .detail")?.remove();
  for (const row of document.querySelectorAll("#rows tbody tr[data-triple]")) {
    const { head, tail, relation } = state.triple ?? {};
    const chosen = row.dataset.triple === [head, tail, relation].join("-");
    row.classList.toggle("chosen", chosen);
    row.querySelector("button.relation").setAttribute("aria-expanded", String(chosen));
    if (chosen) row.after(detailOf(state.triple));
  }
  mark(shown);
}

function detailOf(triple) {
  const [id, name, frequency, kind] = DATA.relations[triple.relation];
  const facts = [`${name}${name === id ? "" : ` (${id})`}: ${frequency.toLocaleString("en")} labels in ${DATA.split}${kind === 2 ? ", rare" : ""}`];
  if (DATA.sentences) facts.push(triple.flags & INTRA ? "head and tail share a sentence" : "head and tail share no sentence");
  if (triple.gold) facts.push(triple.evidence.length ? `labelled, evidence in ${inWords(triple.evidence)}` : "labelled, without evidence");
  else facts.push("not labelled");
  if (triple.flags & SEEN) facts.push(`a fact of the training documents${triple.gold ? ": Ign F1 leaves it out" : ""}`);
  if (triple.flags & NO_CANDIDATE) facts.push("on a pair that is no candidate: no model here predicts it");
  const lines = triple.runs.map((said, i) => make("li", {}, make("span", { class: "letter" }, LETTERS[i]), " ",
    make("span", { class: `verdict ${said.verdict}` }, `${SIGNS[said.verdict]} ${WORDS[said.verdict]}`), `: ${scoreOf(said, DATA.runs[i])}`));
  const cell = make("td", { colspan: 3 + DATA.runs.length }, make("p", {}, facts.join(" · ")), make("ul", {}, ...lines));
  return make("tr", { class: "detail" }, cell);
}

function inWords(sentences) {
  return `sentence${sentences.length > 1 ? "s" : ""} ${sentences.join(", ")}`;
}

// Logit (of an import, the score given with it), what it is compared with, and the difference: in words.
function scoreOf(said, run) {
  const evidence = said.evidence.length ? `; its evidence: ${inWords(said.evidence)}` : "";
  if (said.unknown) return NO_NUMBER + evidence;
  if (said.margin === null) return (run.unscored ? `no scores (${run.unscored})` : NO_SCORE) + evidence;
  const logit = (said.margin + said.threshold).toFixed(2).replace("-", "−");
  const bar = said.threshold.toFixed(2).replace("-", "−");
  const against = run.against === "0" ? "compared with 0" : `${run.against} ${bar}`;
  const predicted = said.verdict === "found" || said.verdict === "wrong";
  let odd = "";
  if (said.margin > 0 && !predicted) odd = "; above, and not predicted: the model has another condition, such as a limit of relations a pair";
  if (said.margin < 0 && predicted) odd = "; below, and predicted: this score does not decide alone";
  return `${run.outside ? "score" : "logit"} ${logit}, ${against}, margin ${signed(said.margin)}${odd}${evidence}`;
}

// The data of the page: documents unpacked when they are looked at, counts of all of them made once.
const DATA = JSON.parse(document.getElementById("data").textContent);
const GOLD = 1, INTRA = 2, SEEN = 4, NO_CANDIDATE = 8;
const FIELDS = 4;
const SIGNS = { found: "✓", missed: "○", wrong: "✗", near: "·" };
const WORDS = { found: "found", missed: "missed", wrong: "wrong", near: "rejected" };
const LETTERS = DATA.runs.map((_, i) => (i < 26 ? String.fromCharCode(65 + i) : `R${i + 1}`));

// What a run made of a triple. Near: neither labelled nor predicted, and kept since it came near to it.
function verdict(gold, predicted) {
  if (predicted) return gold ? "found" : "wrong";
  return gold ? "missed" : "near";
}

const unpacked = new Map();

// Document `row` with its triples as objects.
function documentAt(row) {
  if (!unpacked.has(row)) unpacked.set(row, unpack(DATA.documents[row], row));
  return unpacked.get(row);
}

function unpack([title, sentences, entities, flat, labelled, said], row) {
  const triples = [];
  for (let at = 0; at * FIELDS < flat.length; at++) {
    const [head, tail, relation, flags] = flat.slice(at * FIELDS, at * FIELDS + FIELDS);
    const gold = Boolean(flags & GOLD);
    const runs = said.map(([state, margins, thresholds, evidence]) => {
      const unknown = margins[at] === "?";
      const known = margins.length > 0 && margins[at] !== null && !unknown;
      return {
        verdict: verdict(gold, state[at] === "1"),
        margin: known ? margins[at] / 100 : null,
        threshold: known ? thresholds[at] / 100 : null,
        unknown,
        evidence: evidence[at] || [],
      };
    });
    triples.push({ at, head, tail, relation, flags, gold, runs, evidence: labelled[at] || [] });
  }
  const named = entities.map(([type, ...places], id) => {
    const mentions = [];
    for (let i = 0; i < places.length; i += 3) {
      const [sentence, start, length] = places.slice(i, i + 3);
      mentions.push({ entity: id, sentence, start, end: start + length });
    }
    const texts = mentions.map((m) => sentences[m.sentence].slice(m.start, m.end));
    // The longest name says most.
    const name = texts.reduce((best, text) => (text.length > best.length ? text : best), texts[0] ?? "(no mention)");
    return { id, type: DATA.types[type], mentions, name };
  });
  return { row, title, sentences, entities: named, triples };
}

// Whether a triple passes all filters but the one of kinds.
function inSlice(filters, relation, flags) {
  const [id, , , frequency] = DATA.relations[relation];
  if (filters.relation && id !== filters.relation) return false;
  if (filters.distance && Boolean(flags & INTRA) !== (filters.distance === "intra")) return false;
  if (filters.frequency && String(frequency) !== filters.frequency) return false;
  return !(filters.seen && Boolean(flags & SEEN) !== (filters.seen === "yes"));
}

// Whether the verdicts of the runs on a triple are what is asked for. run: its index, -1 for any.
function isShown(kind, run, verdicts) {
  const told = verdicts.some((v) => v !== "near");
  const asked = run < 0 ? verdicts : [verdicts[run]];
  switch (kind) {
    case "": return run < 0 ? told : asked[0] !== "near";
    case "error": return asked.some((v) => v === "missed" || v === "wrong");
    case "differ": return new Set(verdicts).size > 1 && (run < 0 || differs(verdicts, run));
    case "near": return !told;
    default: return asked.includes(kind);
  }
}

function differs(verdicts, run) {
  return verdicts.some((v) => v !== verdicts[run]);
}

// Of every document: the counts of each run under the filters, and how many triples are shown.
function count(filters) {
  const search = fold(filters.q);
  return DATA.documents.map(([title, , , flat, , said], row) => {
    const counts = said.map(() => ({ found: 0, missed: 0, wrong: 0, near: 0 }));
    let shown = 0, inside = 0;
    const matches = !search || fold(title).includes(search);
    for (let at = 0; matches && at * FIELDS < flat.length; at++) {
      const flags = flat[at * FIELDS + 3];
      if (!inSlice(filters, flat[at * FIELDS + 2], flags)) continue;
      const verdicts = said.map(([state]) => verdict(Boolean(flags & GOLD), state[at] === "1"));
      verdicts.forEach((v, run) => counts[run][v]++);
      inside++;
      shown += isShown(filters.kind, filters.run, verdicts);
    }
    return { row, title, counts, shown, inside, matches };
  });
}

function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

// Precision, recall and F1 in percent; 0 over nothing, as the metrics have it.
function scoresOf({ found, missed, wrong }) {
  const percent = (part, whole) => (whole ? (100 * part) / whole : 0);
  return {
    precision: percent(found, found + wrong),
    recall: percent(found, found + missed),
    f1: percent(2 * found, 2 * found + missed + wrong),
  };
}

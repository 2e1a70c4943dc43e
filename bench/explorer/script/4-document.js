// The text of a document with its mentions, and the list of its entities.

const hueOf = (entity) => Math.round((entity * 137.508 + 20) % 360);

function showDocument(shown) {
  document.getElementById("title").replaceChildren(make("bdi", {}, shown.title));
  document.title = `${shown.title} · errors on ${DATA.dataset} ${DATA.split}`;
  const gold = shown.triples.filter((t) => t.gold).length;
  const about = [`${shown.row + 1} of ${DATA.documents.length}`, `${shown.entities.length} entities`, `${gold} labelled triples`];
  for (const [i, run] of DATA.runs.entries()) {
    const counts = { found: 0, missed: 0, wrong: 0, near: 0 };
    for (const t of shown.triples) counts[t.runs[i].verdict]++;
    about.push(`${LETTERS[i]}: F1 ${scoresOf(counts).f1.toFixed(1)}`);
  }
  document.getElementById("about").textContent = about.join(" · ");
  document.getElementById("text").replaceChildren(...shown.sentences.map((_, at) => sentenceOf(shown, at)));
  document.getElementById("entities").replaceChildren(...shown.entities.map((entity) => {
    const button = make("button", { type: "button", "data-entity": entity.id, "aria-pressed": "false" },
      chip(entity), " ", make("small", {}, `${entity.type} · ${entity.mentions.length}×`));
    return make("li", {}, button);
  }));
}

// An entity's name and number, in its colour.
function chip(entity) {
  const element = make("span", { class: "mention", "data-entity": entity.id }, make("bdi", {}, entity.name), label(entity.id));
  element.style.setProperty("--hue", hueOf(entity.id));
  return element;
}

function label(id) {
  return make("sub", {}, String(id));
}

function sentenceOf(shown, at) {
  const line = make("p", { "data-sentence": at, dir: "auto" });
  const mentions = shown.entities.flatMap((e) => e.mentions.filter((m) => m.sentence === at));
  nest(line, shown, shown.sentences[at], mentions);
  const number = make("span", { class: "at", "aria-label": `sentence ${at}` }, DATA.sentences ? String(at) : "");
  return make("div", { class: "sentence" }, number, line, make("span", { class: "tags" }));
}

// Put the text into `line`, every mention in an element; one that begins inside another and ends outside is cut there.
function nest(line, shown, text, mentions) {
  mentions.sort((a, b) => a.start - b.start || b.end - a.end);
  const open = [{ element: line, end: text.length }];
  let at = 0;
  const write = (until) => {
    if (until > at) open.at(-1).element.append(text.slice(at, until));
    at = Math.max(at, until);
  };
  const close = () => {
    write(open.at(-1).end);
    const closed = open.pop();
    closed.element.append(label(closed.entity));
  };
  for (const mention of mentions) {
    while (open.length > 1 && open.at(-1).end <= mention.start) close();
    write(mention.start);
    const end = Math.min(mention.end, open.at(-1).end);
    const entity = shown.entities[mention.entity];
    const element = make("span", { class: "mention", "data-entity": entity.id, title: `${entity.id}: ${entity.name} (${entity.type})` });
    element.style.setProperty("--hue", hueOf(entity.id));
    open.at(-1).element.append(element);
    open.push({ element, end, entity: entity.id });
  }
  while (open.length > 1) close();
  write(text.length);
}

// Mark what the chosen triple, or the chosen entity, is about.
function mark(shown) {
  const { triple, entity } = state;
  const article = document.getElementById("document");
  article.classList.toggle("marked", triple !== null || entity !== null);
  for (const element of article.querySelectorAll(".mention[data-entity]")) {
    const id = Number(element.dataset.entity);
    element.classList.toggle("as-head", id === triple?.head);
    element.classList.toggle("as-tail", id === triple?.tail);
    element.classList.toggle("as-entity", triple === null && id === entity);
  }
  for (const button of article.querySelectorAll("#entities button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.entity) === entity));
  }
  for (const sentence of article.querySelectorAll(".sentence")) {
    const at = Number(sentence.querySelector("p").dataset.sentence);
    const labelled = Boolean(triple?.evidence.includes(at));
    const runs = LETTERS.filter((_, i) => triple?.runs[i].evidence.includes(at));
    sentence.classList.toggle("evidence", labelled);
    sentence.classList.toggle("said", runs.length > 0);
    const tags = [labelled ? "evidence" : "", runs.length ? `evidence of ${runs.join(", ")}` : ""].filter(Boolean);
    sentence.querySelector(".tags").replaceChildren(...tags.map((text) => make("span", {}, text)));
  }
}

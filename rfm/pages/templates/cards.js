/* A row as a card: what is asked, the answer and why, what a model said, the film strips. */
const LONG = 600;

function longText(text, className) {
  const words = visible(text);
  if (words.length <= LONG) return make("p", { className: `text ${className}`, dir: "auto" }, words);
  return make("details", {}, make("summary", { className: `text ${className}`, dir: "auto" }, `${words.slice(0, LONG)}…`),
    make("p", { className: `text ${className}`, dir: "auto" }, words));
}

function curve(values) {
  const points = values.map((value, index) =>
    `${index ? "L" : "M"}${(100 * index / Math.max(values.length - 1, 1)).toFixed(1)} ${(40 - 38 * value).toFixed(1)}`);
  return draw("svg", { class: "curve", viewBox: "0 0 100 42", preserveAspectRatio: "none", role: "img",
    "aria-label": `Progress from ${values[0].toFixed(2)} to ${values[values.length - 1].toFixed(2)}` },
    draw("line", { x1: 0, x2: 100, y1: 2, y2: 2 }), draw("line", { x1: 0, x2: 100, y1: 40, y2: 40 }),
    draw("path", { d: points.join("") }));
}

function drawModel(model) {
  if (!("said" in model)) return make("p", { className: "soft" }, `Model: ${visible(model.note)}`);
  const tone = { right: "good", near: "good", wrong: "bad" }[model.outcome] ?? "bad";
  const line = make("p", {}, "Model: ", make("b", { className: `text ${tone}` }, visible(model.said).slice(0, LONG) || "nothing"),
    ` (${model.outcome})`);
  if (model.probabilities) {
    line.append(` · ${model.probabilities.map(([name, chance]) => `${name}: ${(100 * chance).toFixed(1)}%`).join(", ")}`);
  }
  return model.note ? make("div", {}, line, make("p", { className: "soft" }, visible(model.note))) : line;
}

function drawCard(card) {
  const article = make("article", { className: "sheet", id: `s-${card.id}`, tabIndex: -1 });
  const link = make("a", { href: `#s-${card.id}` }, `row ${card.row}`);
  article.append(make("div", { className: "card-head" },
    make("h3", { className: "text", dir: "auto" }, visible(card.title).slice(0, LONG) || "no task"), link));
  const facts = make("ul", { className: "facts" });
  card.facts.forEach(([name, value]) => facts.append(make("li", { className: name === "Answer" ? "answer" : "" },
    make("b", {}, `${name} `), make("bdi", {}, visible(value).slice(0, LONG)))));
  article.append(facts);
  card.remarks.forEach((remark) => article.append(make("p", { className: "remark" }, `At fault: ${visible(remark)}`)));
  if ("said" in card.model || "note" in card.model) article.append(drawModel(card.model));
  article.append(make("p", { className: "why" }, make("b", {}, "Why: "), visible(card.why)));
  const answer = card.facts.find(([name]) => name === "Answer")?.[1];
  const clips = make("div", { className: "clips" });
  for (const one of card.strips) {
    const clip = make("section", { className: `clip${one.name === `Video ${answer}` ? " chosen" : ""}` },
      make("h4", {}, one.name), make("p", { className: "soft" }, visible(one.words)));
    if (one.fault) clip.append(make("p", { className: "bad" }, `Its frames can't be shown: ${visible(one.fault)}`));
    clip.append(strip(one));
    if (one.curve.length > 1) clip.append(curve(one.curve));
    clips.append(clip);
  }
  article.append(clips);
  if (card.text) article.append(make("details", {}, make("summary", {}, "What is asked, word by word"), longText(card.text, "")));
  return article;
}

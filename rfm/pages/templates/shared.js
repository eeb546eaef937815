"use strict";
/* What pages share. Texts of data go into the page by textContent alone. */
const SVG = "http://www.w3.org/2000/svg";

function make(tag, properties = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "role") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...inside);
  return element;
}

function draw(tag, attributes = {}, ...inside) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

/* Letters that steer a screen, turn the direction of reading or can't be seen are spelt out, as in the terminal. */
function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, (letter) =>
    letter === "\n" || letter === "\t" ? letter : `\\u{${letter.codePointAt(0).toString(16)}}`);
}

function read(id) { return JSON.parse(document.getElementById(id).textContent); }

function bar(share) {
  return draw("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("rect", { width: Math.max(100 * share, share > 0 ? 0.6 : 0), height: 6 }));
}

/* Pictures stand after this script, in blocks of BLOCK, so that the page can be used before they are read; a block is
   parsed when one of its pictures is shown. `folder`: they are files there. */
const BLOCK = 200, blocks = new Map(), waiting = [];
let folder = "";

function address(picture) {
  const number = Math.floor(picture / BLOCK);
  if (!blocks.has(number)) blocks.set(number, read(`pictures-${number}`));
  return `data:image/jpeg;base64,${blocks.get(number)[picture % BLOCK]}`;
}

function fill(image, picture) {
  if (folder) image.src = `${folder}${picture}.jpg`;
  else if (document.readyState === "loading") waiting.push([image, picture]);
  else image.src = address(picture);
}
document.addEventListener("DOMContentLoaded", () => waiting.splice(0).forEach(([image, picture]) => fill(image, picture)));

/* A film strip: `frames` holds [picture, frame, progress]. */
function strip(one) {
  const list = make("ol", { className: one.frames.length > 5 ? "strip many" : "strip", role: "list" });
  list.setAttribute("aria-label", visible(`${one.name}: ${one.words}`));
  for (const [picture, frame, progress] of one.frames) {
    const made = progress === null ? "" : `progress ${progress.toFixed(2)}`;
    const item = make("li");
    if (picture >= 0) {
      const words = `${one.name}, frame ${frame}${made ? `, ${made}` : ""}`;
      const image = make("img", { alt: words, decoding: "async" });
      fill(image, picture);
      const button = make("button", { type: "button", title: "enlarge" }, image);
      button.addEventListener("click", () => enlarge(image, words));
      item.append(button);
    }
    if (progress !== null) {
      item.append(draw("svg", { class: "meter", viewBox: "0 0 100 5", preserveAspectRatio: "none", "aria-hidden": "true" },
        draw("rect", { class: "all", width: 100, height: 5 }),
        draw("rect", { class: "made", width: 100 * Math.min(Math.max(progress, 0), 1), height: 5 })));
    }
    item.append(`${frame}${progress === null ? "" : ` · ${progress.toFixed(2)}`}`);
    list.append(item);
  }
  return list;
}

function enlarge(image, words) {
  const dialog = document.getElementById("enlarged");
  const close = make("button", { type: "button", className: "plain" }, "Close");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(make("img", { src: image.src, alt: words }), make("p", {}, words), close);
  dialog.showModal();
}

/* Tables whose heads hold buttons are sorted by them. */
function sortable(table) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, at) => head.querySelector("button")?.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.cells[at].dataset.value ?? row.cells[at].textContent;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)], numbers = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
      return numbers ? x - y : x.localeCompare(y);
    });
    table.tBodies[0].append(...(down ? rows.reverse() : rows));
  }));
}
document.querySelectorAll("table.sortable").forEach(sortable);

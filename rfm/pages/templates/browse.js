/* Rows as cards, 20 a page: filters, search, bars and keys all change one state, and `show` draws it. */
const data = read("data");
folder = data.folder;
const PAGE = 20, BARS = 12;
const state = { filters: {}, search: "", page: 0, sort: data.model ? "worst" : "order" };
const at = new Map(data.cards.map((card, index) => [card.id, index]));
const searched = data.cards.map((card) =>
  [card.row, card.title, card.text, card.why, ...card.facts.map((fact) => fact[1]), ...card.remarks,
    card.model.said ?? "", ...card.strips.map((one) => one.words)].join("\n").toLowerCase());
let matching = [], focused = -1;

if (data.names.length > 1) {
  data.cards.forEach((card) => { card.values.dataset = data.names[card.id.split("-")[0]]; });
  const counts = new Map();
  data.cards.forEach((card) => counts.set(card.values.dataset, (counts.get(card.values.dataset) ?? 0) + 1));
  data.facets.unshift({ key: "dataset", title: "Dataset", values: [...counts] });
}
if (data.cards.some((card) => card.remarks.length)) {
  data.cards.forEach((card) => { card.values.findings = card.remarks.length ? "at fault" : "none"; });
  data.facets.push({ key: "findings", title: "Findings", values: [["at fault", null], ["none", null]], bare: true });
}

function passes(index, but = null) {
  const card = data.cards[index];
  return Object.entries(state.filters).every(([key, value]) => key === but || card.values[key] === value)
    && (!state.search || searched[index].includes(state.search));
}

function setFilter(key, value) {
  if (value === "" || state.filters[key] === value) delete state.filters[key];
  else state.filters[key] = value;
  state.page = 0;
  show();
}

function reset() {
  state.filters = {}; state.search = ""; state.page = 0;
  document.getElementById("search").value = "";
  show();
}

function drawBars() {
  const place = document.getElementById("bars");
  place.replaceChildren();
  for (const facet of data.facets) {
    if (facet.bare || facet.values.length < 2) continue;
    const most = Math.max(...facet.values.map(([, count]) => count));
    const whole = facet.values.reduce((sum, [, count]) => sum + count, 0);
    const list = make("ul", { className: "bars" });
    for (const [name, count] of facet.values.slice(0, BARS)) {
      const button = make("button", { type: "button", title: visible(name) },
        make("span", { className: "name", dir: "auto" }, visible(name)),
        make("span", { className: "count" }, `${count.toLocaleString("en")} · ${Math.round(100 * count / whole)}%`), bar(count / most));
      button.setAttribute("aria-pressed", "false");
      button.dataset.key = facet.key; button.dataset.value = name;
      button.addEventListener("click", () => setFilter(facet.key, name));
      list.append(make("li", {}, button));
    }
    const more = facet.values.length - BARS;
    place.append(make("section", { className: "sheet" }, make("h3", {}, facet.title), list,
      more > 0 ? make("p", { className: "soft" }, `and ${more} more, by the filter below`) : ""));
  }
}

function drawFilters() {
  const form = document.getElementById("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  const search = make("input", { type: "search", id: "search", autocomplete: "off" });
  search.addEventListener("input", () => { state.search = search.value.toLowerCase(); state.page = 0; show(); });
  form.append(make("label", {}, "Search", search));
  const all = make("div", { className: "all" });
  for (const facet of data.facets) {
    if (facet.values.length < 2) continue;
    const select = make("select", { id: `filter-${facet.key}` }, make("option", { value: "" }, "all"));
    for (const [name] of facet.values) select.append(make("option", { value: name }, visible(name).slice(0, 80)));
    select.addEventListener("change", () => { delete state.filters[facet.key]; setFilter(facet.key, select.value); });
    all.append(make("label", {}, facet.title, select));
  }
  if (data.model) {
    const sort = make("select", { id: "sort" }, make("option", { value: "worst" }, "worst answers first"),
      make("option", { value: "order" }, "as in the dataset"));
    sort.addEventListener("change", () => { state.sort = sort.value; state.page = 0; show(); });
    all.append(make("label", {}, "Order", sort));
  }
  const clear = make("button", { type: "button", className: "plain", id: "reset" }, "Show all");
  clear.addEventListener("click", reset);
  form.append(make("details", { open: matchMedia("(min-width: 641px)").matches }, make("summary", {}, "Filters"), all), clear);
}

function drawPager(pages) {
  for (const id of ["pager", "pager-below"]) {
    const back = make("button", { type: "button", className: "plain", disabled: state.page === 0 }, "Previous page");
    const on = make("button", { type: "button", className: "plain", disabled: state.page >= pages - 1 }, "Next page");
    back.addEventListener("click", () => turn(-1));
    on.addEventListener("click", () => turn(1));
    document.getElementById(id).replaceChildren(back, make("span", {}, `page ${state.page + 1} of ${pages}`), on);
  }
}

function turn(by) {
  state.page += by;
  show();
  document.getElementById("pager").scrollIntoView();
}

function show() {
  matching = data.cards.map((_, index) => index).filter((index) => passes(index));
  if (state.sort === "worst") matching.sort((a, b) => (data.cards[b].model.error ?? -1) - (data.cards[a].model.error ?? -1));
  const pages = Math.max(Math.ceil(matching.length / PAGE), 1);
  const filtered = state.search || Object.keys(state.filters).length;
  const chosen = Object.values(state.filters).map(visible).join(", ");
  document.getElementById("count").textContent = filtered
    ? `${matching.length} of ${data.cards.length} rows shown here match${chosen ? `: ${chosen}` : ""}` : `${data.cards.length} rows`;
  document.getElementById("reset").disabled = !filtered;
  document.querySelectorAll(".bars button").forEach((button) =>
    button.setAttribute("aria-pressed", state.filters[button.dataset.key] === button.dataset.value));
  for (const facet of data.facets) {
    const select = document.getElementById(`filter-${facet.key}`);
    if (select) select.value = state.filters[facet.key] ?? "";
  }
  drawPager(pages);
  document.getElementById("cards").replaceChildren(
    ...matching.slice(state.page * PAGE, (state.page + 1) * PAGE).map((index) => {
      const article = drawCard(data.cards[index]);
      article.addEventListener("focus", () => { focused = matching.indexOf(index); });
      return article;
    }));
  focused = -1;
}

function go(place) {
  if (place < 0 || place >= matching.length) return;
  const page = Math.floor(place / PAGE);
  if (page !== state.page) { state.page = page; show(); }
  const article = document.getElementById(`s-${data.cards[matching[place]].id}`);
  article.focus({ preventScroll: true });
  article.scrollIntoView({ block: "start" });
  focused = place;
}

function follow() {
  const index = at.get(decodeURIComponent(location.hash.slice(3)));
  if (!location.hash.startsWith("#s-") || index === undefined) return;
  if (!matching.includes(index)) reset();
  go(matching.indexOf(index));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("enlarged").open) return;
  const writing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "Escape") { reset(); return; }
  if (writing) return;
  const action = {
    j: () => go(focused < 0 ? state.page * PAGE : focused + 1), k: () => go(focused - 1),
    "/": () => document.getElementById("search").focus(),
  }[event.key];
  if (action) { event.preventDefault(); action(); }
});
window.addEventListener("hashchange", follow);
drawBars(); drawFilters(); show(); follow();
document.documentElement.dataset.ready = Math.round(performance.now());

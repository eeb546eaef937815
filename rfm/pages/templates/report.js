/* The worst answers as cards; all else of a report is there without a script. */
const data = read("data");
document.getElementById("cards")?.replaceChildren(...data.cards.map((card) => drawCard(card)));
document.documentElement.dataset.ready = Math.round(performance.now());

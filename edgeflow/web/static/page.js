// What htmx does not do: words where the page itself does not answer.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const trouble = document.getElementById("trouble");
  const say = (text) => {
    trouble.textContent = text || trouble.dataset.text;
    trouble.hidden = false;
  };
  const gone = () => say("");
  document.body.addEventListener("htmx:sendError", gone);
  document.body.addEventListener("htmx:sseError", gone);
  document.body.addEventListener("htmx:responseError", (event) => say(event.detail.xhr.responseText.slice(0, 300)));
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful && event.detail.requestConfig.verb !== "get") trouble.hidden = true;
  });
  for (const name of ["pointerdown", "input"]) document.addEventListener(name, () => { trouble.hidden = true; }); // it may lie over a button
  document.body.addEventListener("htmx:sseOpen", () => { trouble.hidden = true; });
});

// New pictures are loaded before they replace the old ones, so that nothing flickers; the latest set wins.
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const html = event.detail.data;
  const sources = [...html.matchAll(/<img[^>]* src="([^"]+)"/g)].map((found) => found[1].replaceAll("&amp;", "&"));
  if (!sources.length) return;
  event.preventDefault();
  const place = event.target;
  const turn = String(Number(place.dataset.turn || 0) + 1);
  place.dataset.turn = turn;
  const load = (source) => {
    const image = new Image();
    image.src = source;
    return image.decode();
  };
  Promise.allSettled(sources.map(load)).then(() => {
    if (place.dataset.turn === turn) htmx.swap(place, html, { swapStyle: "innerHTML" });
  });
});

// One key each on the page Review, unless somebody writes.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select, textarea")) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (button) button.click();
});

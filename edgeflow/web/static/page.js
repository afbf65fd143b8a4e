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
  document.body.addEventListener("htmx:sseOpen", () => { trouble.hidden = true; });
});

// One key each on the page Review, unless somebody writes.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select, textarea")) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (button) button.click();
});

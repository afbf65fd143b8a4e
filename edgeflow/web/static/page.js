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

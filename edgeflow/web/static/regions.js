// Rectangles on a view's picture, by finger, mouse or keyboard; each one is a row of the form.
"use strict";

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const PARTS = ["x", "y", "width", "height"];
  const LEAST = 6; // pixels of the screen: a tap is no rectangle
  const one = (id) => document.getElementById(id);
  const rows = () => [...document.querySelectorAll("#regions li")];
  const inputs = (row) => PARTS.map((part) => row.querySelector(`[data-part="${part}"]`));
  const read = (row) => inputs(row).map((input) => Number(input.value));
  const picture = (view) => document.querySelector(`.picture[data-view="${CSS.escape(view)}"]`);
  const size = (view) => [Number(picture(view).dataset.width), Number(picture(view).dataset.height)];
  let drag = null;

  function write(row, [x, y, width, height]) {
    const most = size(row.dataset.view);
    const left = Math.min(Math.max(0, Math.round(x)), most[0] - 1);
    const top = Math.min(Math.max(0, Math.round(y)), most[1] - 1);
    const kept = [left, top, Math.min(Math.max(1, Math.round(width)), most[0] - left), Math.min(Math.max(1, Math.round(height)), most[1] - top)];
    inputs(row).forEach((input, place) => { input.value = kept[place]; });
    show(row);
  }

  function show(row) {
    row.querySelector("[name=region]").value = `${row.dataset.view}:${inputs(row).map((input) => input.value.trim()).join(",")}`;
    draw();
  }

  function add(view, box) {
    const list = one("regions");
    const row = list.querySelector("template").content.firstElementChild.cloneNode(true);
    row.dataset.view = view;
    row.querySelector("b").textContent = view;
    list.querySelector("ol").append(row);
    const most = size(view);
    inputs(row).forEach((input, place) => { input.max = most[place % 2]; });
    write(row, box);
    return row;
  }

  function remove(row) {
    row.remove();
    draw();
  }

  function shape(row, box) {
    const rect = document.createElementNS(SVG, "rect");
    PARTS.forEach((part, place) => rect.setAttribute(part, String(Math.max(0, box[place]) || 0)));
    rect.row = row;
    return rect;
  }

  // Anew after every change: there are few rectangles, and the rows are all there is to know.
  function draw() {
    const stage = one("stage");
    const focused = document.activeElement && document.activeElement.row;
    one("regions").hidden = !rows().length;
    for (const svg of document.querySelectorAll("svg.fresh")) {
      const view = svg.parentElement.dataset.view;
      svg.replaceChildren(...rows().filter((row) => row.dataset.view === view).map((row) => shape(row, read(row))));
    }
    if (stage.hidden) return;
    const paper = stage.querySelector(".paper");
    const known = picture(stage.dataset.view).querySelectorAll("svg.drawn rect");
    paper.replaceChildren(...[...known].map((rect) => rect.cloneNode()));
    for (const rect of paper.children) rect.setAttribute("class", "earlier");
    rows().forEach((row, place) => {
      if (row.dataset.view !== stage.dataset.view) return;
      const rect = shape(row, read(row));
      rect.setAttribute("tabindex", "0");
      rect.setAttribute("aria-label", `${place + 1}: ${read(row).join(", ")}`);
      paper.append(rect);
      if (row === focused) rect.focus();
    });
  }

  function open(view) {
    const stage = one("stage");
    const place = picture(view);
    stage.dataset.view = view;
    one("stage-view").textContent = view;
    stage.querySelector("img").src = place.querySelector("img").src;
    stage.querySelector(".paper").setAttribute("viewBox", `0 0 ${size(view).join(" ")}`);
    stage.querySelector("[data-stage=heat]").setAttribute("aria-pressed", "false");
    stage.hidden = false;
    draw();
    stage.scrollIntoView({ block: "nearest" });
    stage.querySelector("[data-stage=add]").focus();
  }

  function heat(button) {
    const stage = one("stage");
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    const original = picture(stage.dataset.view).querySelector("img").src;
    stage.querySelector("img").src = on ? original.replace(/original$/, "overlay") : original;
  }

  function at(event) {
    const paper = one("stage").querySelector(".paper");
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(paper.getScreenCTM().inverse());
    const most = size(one("stage").dataset.view);
    return [Math.min(Math.max(0, point.x), most[0]), Math.min(Math.max(0, point.y), most[1])];
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-draw], [data-stage], .remove, .picture[data-view]");
    if (!target || !one("stage")) return;
    if (target.matches(".remove")) remove(target.closest("li"));
    else if (target.matches(".picture")) { event.preventDefault(); open(target.dataset.view); }
    else if (target.dataset.draw) open(target.dataset.draw);
    else if (target.dataset.stage === "close") one("stage").hidden = true;
    else if (target.dataset.stage === "heat") heat(target);
    else {
      const view = one("stage").dataset.view;
      const [width, height] = size(view);
      const row = add(view, [width * 3 / 8, height * 3 / 8, width / 4, height / 4]);
      const rect = [...one("stage").querySelectorAll("rect")].find((found) => found.row === row);
      rect.focus();
    }
  });

  document.addEventListener("pointerdown", (event) => {
    const paper = event.target.closest && event.target.closest(".paper");
    if (!paper || !event.isPrimary || event.button > 0) return;
    event.preventDefault();
    paper.setPointerCapture(event.pointerId);
    const row = event.target.row || null;
    drag = { from: at(event), screen: [event.clientX, event.clientY], row, box: row && read(row), fresh: !row };
    if (row) event.target.focus();
  });

  document.addEventListener("pointermove", (event) => {
    if (!drag || !event.isPrimary) return;
    const to = at(event);
    if (!drag.fresh) {
      const [x, y, width, height] = drag.box;
      const most = size(drag.row.dataset.view);
      write(drag.row, [Math.min(x + to[0] - drag.from[0], most[0] - width), Math.min(y + to[1] - drag.from[1], most[1] - height), width, height]);
      return;
    }
    const moved = [Math.abs(event.clientX - drag.screen[0]), Math.abs(event.clientY - drag.screen[1])];
    if (!drag.row && (moved[0] < LEAST || moved[1] < LEAST)) return;
    const box = [Math.min(to[0], drag.from[0]), Math.min(to[1], drag.from[1]), Math.abs(to[0] - drag.from[0]), Math.abs(to[1] - drag.from[1])];
    if (drag.row) write(drag.row, box);
    else drag.row = add(one("stage").dataset.view, box);
  });

  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => { drag = null; });

  document.addEventListener("input", (event) => {
    const row = event.target.dataset.part && event.target.closest("#regions li");
    if (row) show(row);
  });

  document.addEventListener("change", (event) => {
    const row = event.target.dataset.part && event.target.closest("#regions li");
    if (row) write(row, read(row)); // what is hidden later has to be valid
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("form.review input")) { // else the first button, OK, is pressed
      event.preventDefault();
      if (event.target.name === "kind") event.target.form.querySelector("button[value=NG]").click();
      return;
    }
    if (event.key === "Escape" && one("stage") && !one("stage").hidden) one("stage").hidden = true;
    const row = event.target.row;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!row || !(step || event.key === "Delete" || event.key === "Backspace")) return;
    event.preventDefault();
    if (!step) {
      remove(row);
      one("stage").querySelector("[data-stage=add]").focus();
      return;
    }
    const [x, y, width, height] = read(row);
    const most = size(row.dataset.view);
    const by = step.map((way) => way * Math.max(1, Math.round(Math.max(...most) / 200)));
    if (event.shiftKey) write(row, [x, y, width + by[0], height + by[1]]);
    else write(row, [Math.min(Math.max(0, x + by[0]), most[0] - width), Math.min(Math.max(0, y + by[1]), most[1] - height), width, height]);
  });
})();

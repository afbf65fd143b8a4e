// The chart of one view's scores, by uPlot; a score beyond three times the threshold is drawn there.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const bar = document.getElementById("trend");
  const place = document.getElementById("chart");
  const key = document.getElementById("drift-key");
  let chart = null;
  const day = (form) => form.replace("{M}/{D}/{YY}", "{YYYY}-{MM}-{DD}").replace("{M}/{D}", "{MM}-{DD}");
  const hours = (form) => form.replace(/\{h\}(:\{mm\})?\{aa\}/, "{HH}:{mm}").replace(/\{h\}(:\{mm\}:\{ss\})\{aa\}/, "{HH}$1");
  const zone = bar.dataset.zone;
  const show = async (button) => {
    for (const other of bar.children) other.classList.toggle("here", other === button);
    const query = new URLSearchParams(bar.dataset.query);
    query.set("of", button.dataset.view);
    const answer = await fetch("/parts/trend?" + query);
    const found = await answer.json();
    if (chart) chart.destroy();
    place.textContent = found.problem || "";
    if (found.problem) return;
    const drift = found.drift;
    const bound = { stroke: "#f5a524", width: 1.5, dash: [6, 5], points: { show: false } };
    const flat = (score) => found.times.map(() => score);
    key.hidden = !drift;
    const line = { stroke: "#a3b0be", grid: { stroke: "#2b3440" }, ticks: { stroke: "#2b3440" } };
    chart = new uPlot({
      fmtDate: (form) => uPlot.fmtDate(day(hours(form))),
      tzDate: (seconds) => zone ? uPlot.tzDate(new Date(seconds * 1000), zone) : new Date(seconds * 1000),
      width: place.clientWidth, height: 200, legend: { show: false },
      axes: [line, line],
      scales: { y: { range: (_, low, high) => [Math.min(0, low), Math.max(1.2, high) * 1.05] } },
      series: [{}, { stroke: "#4aa8ff", width: 0, points: { show: true, size: 5, fill: "#4aa8ff" } }, { stroke: "#ff7b84", width: 2, points: { show: false } },
        ...(drift ? [bound, bound, { stroke: "#f2f5f8", width: 2, points: { show: false } }] : [])],
    }, [found.times, found.scores.map((score) => Math.min(score, 3)), flat(1), ...(drift ? [flat(drift.low), flat(drift.high), drift.level] : [])], place);
  };
  bar.addEventListener("click", (event) => { if (event.target.dataset.view) show(event.target); });
  if (bar.children.length) show(bar.children[0]);
});

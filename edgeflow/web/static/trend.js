// The chart of one view's scores, by uPlot.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const bar = document.getElementById("trend");
  const place = document.getElementById("chart");
  let chart = null;
  const show = async (button) => {
    for (const other of bar.children) other.classList.toggle("here", other === button);
    const query = new URLSearchParams(bar.dataset.query);
    query.set("of", button.dataset.view);
    const answer = await fetch("/parts/trend?" + query);
    const found = await answer.json();
    if (chart) chart.destroy();
    place.textContent = found.problem || "";
    if (found.problem) return;
    const line = { stroke: "#a3b0be", grid: { stroke: "#2b3440" }, ticks: { stroke: "#2b3440" } };
    chart = new uPlot({
      width: place.clientWidth, height: 200, legend: { show: false },
      axes: [line, line],
      scales: { y: { range: (_, low, high) => [Math.min(0, low), Math.max(1.2, high)] } },
      series: [{}, { stroke: "#4aa8ff", width: 0, points: { show: true, size: 5, fill: "#4aa8ff" } }, { stroke: "#ff7b84", width: 2, points: { show: false } }],
    }, [found.times, found.scores, found.times.map(() => 1)], place);
  };
  bar.addEventListener("click", (event) => { if (event.target.dataset.view) show(event.target); });
  if (bar.children.length) show(bar.children[0]);
});

// What follows a page while it is open. Whatever comes is put in as text, never as HTML.
"use strict";
(() => {
  // A browser has few connections to one server: a page that nobody sees gives its own back.
  const follow = (address, hear) => {
    let source = null, last = null, over = false;
    const open = () => {
      if (source || over || document.hidden) return;
      const url = new URL(address, location.href);
      if (last !== null && url.searchParams.has("from")) url.searchParams.set("from", last);
      source = new EventSource(url);
      source.onmessage = (event) => {
        if (event.lastEventId) last = event.lastEventId;
        if (hear(JSON.parse(event.data)) === "over") { over = true; close(); }
      };
    };
    const close = () => { if (source) { source.close(); source = null; } };
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    open();
  };

  const setText = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };
  const setState = (element, state) => {
    if (!element || element.textContent === state) return;
    element.textContent = state;
    element.className = "state state-" + state.replaceAll(" ", "-");
  };

  const tasks = document.getElementById("tasks");
  if (tasks && tasks.dataset.going !== undefined) {
    const rows = new Map();
    for (const row of tasks.querySelectorAll("tr[data-task]")) rows.set(row.dataset.task, row);
    const address = "/run/live?" + new URLSearchParams({ run: tasks.dataset.run, from: tasks.dataset.from });
    follow(address, (told) => {
      for (const task of told.tasks) {
        const row = rows.get(task.task);
        if (!row) continue;
        setState(row.querySelector(".state"), task.state);
        const bar = row.querySelector("progress");
        bar.hidden = task.total === 0;
        bar.max = Math.max(task.total, 1);
        bar.value = task.done;
        setText(row.querySelector(".how-far"), task.how_far);
        setText(row.querySelector(".time"), task.time);
        setText(row.querySelector(".why"), task.message);
      }
      for (const [name, n] of Object.entries(told.counts)) setText(document.querySelector(`[data-count="${name}"]`), n.toLocaleString("en"));
      const overall = document.getElementById("overall");
      if (overall) { overall.max = Math.max(told.total, 1); overall.value = told.done; }
      setText(document.getElementById("overall-text"), told.overall);
      setState(document.querySelector("#run-state .state"), told.state);
      return told.going ? undefined : "over";
    });
  }

  const log = document.getElementById("log");
  if (log) {
    const KEPT = 5000;
    let lines = log.textContent.split("\n");
    if (lines.at(-1) === "") lines.pop();
    const end = document.getElementById("follow-log");
    const show = () => { if (end && end.checked) log.scrollTop = log.scrollHeight; };
    show();
    if (end) end.addEventListener("change", show);
    follow(log.dataset.live, (more) => {
      lines = lines.concat(more).slice(-KEPT);
      log.textContent = lines.join("\n") + "\n";
      show();
    });
  }

  const curves = document.getElementById("curves");
  if (curves) {
    const COLOURS = ["#2a78c8", "#d1662a", "#2f9a63", "#b04a9a", "#8a7a1f", "#5b63c9"];
    const sources = JSON.parse(document.getElementById("curve-sources").textContent);
    const latest = document.getElementById("latest");
    const charts = new Map(); // by the name of the curve
    const chartOf = (name) => {
      let chart = charts.get(name);
      if (!chart) {
        const box = document.createElement("section");
        box.className = "curve";
        const title = document.createElement("h2");
        title.textContent = name;
        const plot = document.createElement("div");
        box.append(title, plot);
        curves.append(box);
        chart = { name, plot, data: new Map(), rows: new Map(), due: false, uplot: null, shown: "" };
        charts.set(name, chart);
      }
      return chart;
    };
    const number = (value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(6)).toString());
    const draw = (chart) => {
      chart.due = false;
      const shown = [...chart.data.keys()].sort((a, b) => a - b);
      const data = uPlot.join(shown.map((at) => chart.data.get(at)));
      const width = Math.max(chart.plot.clientWidth, 240);
      if (chart.uplot && chart.shown === shown.join() && chart.width === width) { chart.uplot.setData(data); return; }
      if (chart.uplot) chart.uplot.destroy();
      const ink = getComputedStyle(document.body).color;
      const axis = { stroke: ink, grid: { stroke: "#8884", width: 1 }, ticks: { stroke: "#8884", width: 1 } };
      chart.uplot = new uPlot({
        width, height: 240, scales: { x: { time: false } }, axes: [axis, { ...axis, size: 64 }],
        series: [{ label: "step" }, ...shown.map((at) => ({ label: sources[at] ?? String(at), stroke: COLOURS[at % COLOURS.length], width: 1.6, spanGaps: true }))],
      }, data, chart.plot);
      [chart.shown, chart.width] = [shown.join(), width];
    };
    const soon = (chart) => { if (!chart.due) { chart.due = true; setTimeout(() => draw(chart), 100); } };
    follow(curves.dataset.live, (told) => {
      const chart = chartOf(told.name);
      let data = chart.data.get(told.source);
      if (!data || told.anew) chart.data.set(told.source, (data = [[], []]));
      for (let i = 0; i < told.steps.length; i++) { data[0].push(told.steps[i]); data[1].push(told.values[i]); }
      let row = chart.rows.get(told.source);
      if (!row) {
        row = latest.insertRow();
        for (let i = 0; i < 4; i++) row.insertCell();
        row.cells[2].className = row.cells[3].className = "n";
        row.cells[0].textContent = told.name;
        row.cells[1].textContent = sources[told.source] ?? "";
        chart.rows.set(told.source, row);
      }
      row.cells[2].textContent = String(data[0].at(-1) ?? "");
      row.cells[3].textContent = number(data[1].at(-1));
      soon(chart);
    });
    addEventListener("resize", () => charts.forEach(soon));
  }

  for (const pair of document.querySelectorAll("[data-pair]")) {
    const [older, newer, canvas, swipe, button, words] = [".old", ".new", "canvas", ".swipe", "[data-differ]", ".differs"].map((part) => pair.querySelector(part));
    const show = () => { newer.style.clipPath = `inset(0 0 0 ${swipe.value}%)`; };
    swipe.addEventListener("input", show);
    show();
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      canvas.hidden = !on;
      words.textContent = on ? differ(older, newer, canvas) : "";
    });
  }

  // Draws where two images differ, and says how much.
  function differ(older, newer, canvas) {
    const side = (of) => Math.min(Math.max(older["natural" + of] || older[of.toLowerCase()], newer["natural" + of] || newer[of.toLowerCase()]), 4096) || 1;
    const [width, height] = [side("Width"), side("Height")];
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const pixels = (image) => {
      context.fillStyle = "#fff";
      context.fillRect(0, 0, width, height);
      context.drawImage(image, 0, 0, width, height);
      return context.getImageData(0, 0, width, height);
    };
    const a = pixels(older), b = pixels(newer);
    let different = 0;
    for (let at = 0; at < a.data.length; at += 4) {
      const far = Math.max(Math.abs(a.data[at] - b.data[at]), Math.abs(a.data[at + 1] - b.data[at + 1]), Math.abs(a.data[at + 2] - b.data[at + 2]));
      if (far > 2) different++;
      const grey = 255 - (255 - (b.data[at] + b.data[at + 1] + b.data[at + 2]) / 3) * 0.25;
      const strength = Math.min(1, far / 96 + (far > 2 ? 0.25 : 0));
      b.data[at] = grey + (200 - grey) * strength;
      b.data[at + 1] = b.data[at + 2] = grey * (1 - strength);
    }
    context.putImageData(b, 0, 0);
    return different === 0 ? "no pixel differs" : `${Number(((100 * different) / (width * height)).toPrecision(2))} % of the pixels differ`;
  }
})();

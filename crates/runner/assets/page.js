// What makes a page of onsager handier. Everything on it can be read without.
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const show = (...elements) => elements.forEach((element) => { element.hidden = false; });

  // A link into something folded unfolds it.
  const unfold = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target.firstElementChild && target.tagName === "DETAILS") target.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", unfold);

  // Commands are copied.
  for (const button of all("[data-copy]")) {
    show(button);
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("code").textContent;
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        // A page that was opened as a file may not: the text is selected instead.
        getSelection().selectAllChildren(button.parentElement.querySelector("code"));
        return;
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  // Pictures are enlarged.
  const pictures = all("[data-enlarge]");
  if (pictures.length && "HTMLDialogElement" in window) {
    const dialog = document.createElement("dialog");
    const image = dialog.appendChild(document.createElement("img"));
    const tools = dialog.appendChild(document.createElement("div"));
    tools.className = "tools";
    const save = tools.appendChild(document.createElement("a"));
    const close = tools.appendChild(document.createElement("button"));
    close.type = "button";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog || event.target === image) dialog.close(); });
    document.body.append(dialog);
    for (const picture of pictures) {
      picture.addEventListener("click", () => {
        const shown = picture.querySelector("img");
        image.src = save.href = shown.src;
        image.alt = shown.alt;
        dialog.setAttribute("aria-label", shown.alt);
        save.download = picture.dataset.enlarge;
        save.textContent = `Save ${picture.dataset.enlarge}`;
        dialog.showModal();
      });
    }
  }

  // Drawings are stretched.
  for (const button of all("[data-zoom]")) {
    show(button);
    button.addEventListener("click", () => {
      const drawing = document.getElementById(button.dataset.of);
      for (const other of all(`[data-of="${button.dataset.of}"]`)) {
        drawing.classList.remove(`zoom-${other.dataset.zoom}`);
        other.setAttribute("aria-pressed", String(other === button));
      }
      drawing.classList.add(`zoom-${button.dataset.zoom}`);
    });
  }

  // Tasks are found.
  const find = document.querySelector("input[data-find]");
  if (find) {
    show(...all("[data-find]"));
    const stages = all("details.stage").map((element) => ({ element, open: element.open, rows: all("tbody tr", element).map((row) => [row, row.textContent.toLowerCase()]) }));
    const look = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let found = 0;
      for (const stage of stages) {
        let here = 0;
        for (const [row, text] of stage.rows) {
          const fits = words.every((word) => text.includes(word));
          if (row.hidden === fits) row.hidden = !fits;
          here += fits;
        }
        stage.element.hidden = words.length > 0 && here === 0;
        stage.element.open = words.length > 0 ? here > 0 : stage.open;
        found += here;
      }
      document.getElementById("found").textContent = words.length ? `${found} found` : "";
    };
    let waiting;
    find.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(look, 120); });
  }

  // Curves are drawn so that their values can be read off.
  const curves = all("[data-curves]");
  if (curves.length && window.uPlot) {
    const colours = ["#2a78c8", "#d1662a", "#2f9a63", "#b04a9a", "#8a7a1f", "#5b63c9"];
    const plots = [];
    const draw = (place) => {
      const series = JSON.parse(document.getElementById(place.dataset.curves).textContent);
      const data = uPlot.join(series.map((curve) => [curve.steps, curve.values]));
      const ink = getComputedStyle(document.body).color;
      const axis = { stroke: ink, grid: { stroke: "rgb(128 128 128 / .25)" }, ticks: { stroke: "rgb(128 128 128 / .4)" } };
      const plot = new uPlot({
        width: place.clientWidth, height: 230, scales: { x: { time: false } }, axes: [axis, { ...axis, size: 64 }],
        series: [{ label: "step" }, ...series.map((curve, at) => ({ label: curve.task, stroke: colours[at % colours.length], width: 1.5, spanGaps: false, points: { show: curve.steps.length < 3 } }))],
      }, data, place);
      place.querySelector("svg").remove();
      // Its legend has the values, too.
      place.parentElement.querySelectorAll("figcaption .key").forEach((one) => { one.hidden = true; });
      plots.push([plot, place]);
    };
    // Those that nobody looks at cost nothing.
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { watch.unobserve(entry.target); draw(entry.target); }
    }, { rootMargin: "200px" });
    curves.filter((place) => place.querySelector("svg")).forEach((place) => watch.observe(place));
    addEventListener("resize", () => plots.forEach(([plot, place]) => plot.setSize({ width: place.clientWidth, height: 230 })));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const [plot, place] of plots.splice(0)) { plot.destroy(); place.append(document.createElementNS("http://www.w3.org/2000/svg", "svg")); draw(place); }
    });
  }
  unfold();
})();

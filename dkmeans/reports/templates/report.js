"use strict";
(() => {
  const root = document.documentElement, all = (what, from = document) => [...from.querySelectorAll(what)];
  root.classList.add("on-js");

  // the titles of pictures would show over what we show ourselves
  for (const title of all("svg > title")) title.remove();

  // what a mark says, by mouse, touch and keyboard
  const tip = document.getElementById("tip");
  const show = (said, x, y) => {
    tip.textContent = said;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(6, Math.min(x + 14, innerWidth - box.width - 6))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(6, y - box.height - 12) : y + 18}px`;
  };
  const hide = () => { tip.hidden = true; };
  addEventListener("pointermove", (event) => {
    const mark = event.target.closest?.("[data-tip]");
    if (mark) return show(mark.dataset.tip, event.clientX, event.clientY);
    const map = event.target.closest?.("svg.map");
    if (map && nearDot(map, event)) return undefined;
    return hide();
  });
  addEventListener("scroll", hide, { passive: true });
  addEventListener("keydown", (event) => { if (event.key === "Escape") { hide(); pin(null); } });
  for (const svg of all("svg")) {
    const marks = all("[data-tip]", svg);
    if (!marks.length) continue;
    // one stop for the keyboard a picture; arrows go from mark to mark
    let at = -1;
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("aria-description", "Arrow keys read its values.");
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      at = (at + step + marks.length + (at < 0 && step < 0 ? 1 : 0)) % marks.length;
      const box = marks[at].getBoundingClientRect();
      show(marks[at].dataset.tip, box.right - 10, box.bottom - 10);
    });
    svg.addEventListener("blur", () => { at = -1; hide(); });
  }

  // the dot of the map that the pointer is on
  const told = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
  const rows = told("map-rows"), dots = new WeakMap();
  function nearDot(map, event) {
    if (!dots.has(map)) {
      dots.set(map, all(".dots", map).flatMap((path) => [...path.getAttribute("d").matchAll(/M(\S+) (\S+)h/g)]
        .map((one, i) => ({ x: +one[1], y: +one[2], c: path.dataset.c, row: rows?.[path.dataset.i]?.[i] }))));
    }
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
    let best = null, least = 36;
    for (const dot of dots.get(map)) {
      const far = (dot.x - point.x) ** 2 + (dot.y - point.y) ** 2;
      if (far < least) { least = far; best = dot; }
    }
    if (!best) return false;
    const name = best.c === undefined ? "another cluster" : `Cluster ${names.get(best.c) ?? best.c}`;
    show(best.row === undefined ? name : `${name}, row ${best.row.toLocaleString("en-US")}`, event.clientX, event.clientY);
    return true;
  }

  // one cluster, in all charts
  const names = new Map(all(".key").map((key) => [key.dataset.c, key.textContent.trim()]));
  let pinned = null;
  const light = (c) => {
    root.classList.toggle("hl", c !== null);
    for (const one of all("[data-c]")) one.classList.toggle("lit", one.dataset.c === c);
  };
  function pin(c) {
    pinned = c;
    for (const key of all(".key")) key.setAttribute("aria-pressed", String(key.dataset.c === c));
    light(c);
  }
  for (const key of all(".key")) {
    key.addEventListener("click", () => pin(pinned === key.dataset.c ? null : key.dataset.c));
    key.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") light(key.dataset.c); });
    key.addEventListener("pointerleave", () => light(pinned));
  }

  // tables that sort
  for (const table of all("table.sorts")) {
    all("thead th", table).forEach((head, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const isNumber = head.classList.contains("num");
        const before = head.getAttribute("aria-sort");
        const down = before ? before === "ascending" : isNumber;
        for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => row.cells[i].dataset.sort ?? row.cells[i].textContent.trim();
        const rank = (a, b) => {
          const [x, y] = [value(a), value(b)], [m, n] = [parseFloat(x), parseFloat(y)];
          // what is no number comes last, whichever way
          if (isNumber && (Number.isNaN(m) || Number.isNaN(n))) return Number.isNaN(m) - Number.isNaN(n);
          const order = x !== "" && y !== "" && !Number.isNaN(+x) && !Number.isNaN(+y) ? m - n : x.localeCompare(y, "en");
          return down ? -order : order;
        };
        const body = table.tBodies[0];
        body.append(...[...body.rows].sort(rank));
      });
    });
  }

  // two clusters side by side
  const compared = told("compared");
  if (compared) {
    const [one, other] = ["one", "other"].map((id) => document.getElementById(id));
    const pair = document.getElementById("pair"), out = document.getElementById("differences");
    const put = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text, ...more });
    const draw = () => {
      const [a, b] = [compared.clusters[one.value], compared.clusters[other.value]];
      pair.replaceChildren(...[a, b].map((c) => {
        const card = document.getElementById(`card-${c.label}`).cloneNode(true);
        card.removeAttribute("id");
        card.removeAttribute("data-c");
        for (const marked of all("[data-c]", card)) marked.removeAttribute("data-c");
        return card;
      }));
      const apart = compared.features.map((name, j) => ({ name, j, d: (b.z[j] ?? NaN) - (a.z[j] ?? NaN) }))
        .filter((f) => !Number.isNaN(f.d)).sort((x, y) => Math.abs(y.d) - Math.abs(x.d)).slice(0, 10);
      const table = document.createElement("table"), body = table.createTBody();
      table.append(put("caption", one.value === other.value ? "These are the same cluster."
        : "Means where they differ the most; differences in standard deviations of all rows"));
      const head = table.createTHead().insertRow();
      ["Feature", a.text, b.text, "Difference"].forEach((text, i) =>
        head.append(put("th", text, { scope: "col", className: i ? "num" : "" })));
      for (const f of apart) {
        const row = body.insertRow();
        row.append(put("th", f.name, { scope: "row" }), ...[a.mean[f.j], b.mean[f.j], (f.d > 0 ? "+" : "") + f.d.toFixed(1)]
          .map((text) => put("td", text, { className: "num" })));
      }
      const scroll = put("div", "", { className: "scroll", tabIndex: 0 });
      scroll.setAttribute("role", "region");
      scroll.setAttribute("aria-label", "Differences of two clusters");
      scroll.append(table);
      out.replaceChildren(scroll);
    };
    one.addEventListener("change", draw);
    other.addEventListener("change", draw);
    draw();
  }
})();

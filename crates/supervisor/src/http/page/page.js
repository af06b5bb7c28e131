// Puts what the server says into the page. Every text is set as text, never as HTML; the server has made all of them.
"use strict";
{
  const body = document.querySelector("tbody");
  const template = document.querySelector("template").content.querySelector("tr");
  const byId = (id) => document.getElementById(id);
  const rows = new Map(Array.from(body.rows, (row) => [row.dataset.name, row]));
  const RETRY_MS = 10_000;
  const AGES_EVERY_MS = 10_000;

  function fill(row, told) {
    for (const cell of row.querySelectorAll("[data-text]")) set(cell, told[cell.dataset.text] ?? "");
    for (const time of row.querySelectorAll("[data-time]")) {
      time.dateTime = told[time.dataset.time] ?? "";
    }
    for (const path of row.querySelectorAll("[data-path]")) path.setAttribute("d", told[path.dataset.path] ?? "");
    for (const chart of row.querySelectorAll("[data-label]")) {
      chart.setAttribute("aria-label", told[chart.dataset.label] ?? "");
    }
    row.dataset.name = told.name;
    row.dataset.mood = told.mood;
    ages(row);
  }

  function set(cell, text) {
    if (cell.textContent !== text) cell.textContent = text;
  }

  // "for 5 min" says more than a time; the time itself is a hover away.
  function ages(within) {
    for (const time of within.querySelectorAll("time")) {
      const seconds = Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000);
      if (Number.isNaN(seconds)) continue;
      time.title = time.dateTime;
      set(time, seconds < 60 ? "for less than a minute"
        : seconds < 5400 ? `for ${Math.round(seconds / 60)} min`
        : seconds < 129600 ? `for ${Math.round(seconds / 3600)} h`
        : `for ${Math.round(seconds / 86400)} days`);
    }
  }

  function update(told) {
    const news = [];
    for (const one of told.rows) {
      let row = rows.get(one.name);
      const before = row?.dataset.mood;
      if (!row) {
        row = template.cloneNode(true);
        rows.set(one.name, row);
        body.append(row);
      }
      fill(row, one);
      if (before !== undefined && (before === "ready") !== (one.mood === "ready")) {
        news.push(one.mood === "ready" ? `${one.name} is ready.` : `${one.name} is not ready: ${one.cause}`);
        row.classList.remove("changed");
        void row.offsetWidth;
        row.classList.add("changed");
      }
    }
    if (told.order) reorder(told.order);
    set(byId("summary"), told.summary);
    document.title = `tunneld: ${told.summary}`;
    if (news.length > 0) set(byId("news"), news.join(" "));
  }

  function reorder(order) {
    const known = new Set(order);
    for (const [name, row] of rows) {
      if (!known.has(name)) {
        row.remove();
        rows.delete(name);
      }
    }
    // A row that moves loses the keyboard's focus, so it stays where it is while it has it.
    if (body.contains(document.activeElement)) return;
    for (const name of order) body.append(rows.get(name));
  }

  function follow() {
    const events = new EventSource("events");
    events.addEventListener("tunnels", (event) => {
      set(byId("link"), "");
      update(JSON.parse(event.data));
    });
    events.addEventListener("error", () => {
      set(byId("link"), "No connection to tunneld: what is shown may be old. Trying again.");
      if (events.readyState === EventSource.CLOSED) setTimeout(follow, RETRY_MS);
    });
  }

  ages(document);
  setInterval(() => ages(document), AGES_EVERY_MS);
  follow();
}

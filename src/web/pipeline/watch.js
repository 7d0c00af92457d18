// Asks for the page again while it is seen, and puts what has changed in its place. Without it the page is the same, only still.
"use strict";
(() => {
  const every_ms = 2000;
  const main = document.querySelector("main");
  const told = document.getElementById("live");
  if (!main || !told) return;
  let last = null;

  // where the keyboard is, so that it is there afterwards
  const place = (element) => element && (element.id || element.getAttribute("href") || element.dataset.place);
  const busy = () => {
    const active = document.activeElement;
    const writes = active && main.contains(active) && active.matches("input, textarea, select");
    const opened = main.querySelector("details.asks[open]");
    return writes || opened || !document.getSelection().isCollapsed;
  };

  const look = async () => {
    if (document.hidden || busy()) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      const html = await answer.text();
      if (html !== last && !busy()) {
        const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("main");
        const at = place(document.activeElement);
        const scrolled = [...main.querySelectorAll("pre")].map((pre) => [pre.scrollTop, pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 2]);
        main.replaceChildren(...fresh.childNodes);
        main.querySelectorAll("pre").forEach((pre, i) => {
          if (scrolled[i]) pre.scrollTop = scrolled[i][1] ? pre.scrollHeight : scrolled[i][0];
        });
        if (at) [...main.querySelectorAll("a, button, summary")].find((element) => place(element) === at)?.focus({ preventScroll: true });
        last = html;
      }
      told.textContent = "live";
    } catch {
      told.textContent = "not live: the service does not answer; trying again";
    }
  };
  told.textContent = "live";
  setInterval(look, every_ms);
})();

"use strict";
// Filters the page. Everything is there and linked without it.
(() => {
  const box = document.getElementById("filter");
  const found = document.getElementById("found");
  const nothing = document.getElementById("nothing");
  const menu = document.getElementById("menu");
  const sections = [...document.querySelectorAll("main > section")];
  const groupTitles = [...document.querySelectorAll("h3.types")];

  // A table row is found by all its words, a type by its names, a method or event by its summary and facts too.
  const items = [...document.querySelectorAll("article, tr[id]")].map((element) => {
    const parts = element.matches("tr")
      ? [element]
      : element.querySelectorAll("h3, h4, h3 ~ .summary, dd, td:first-child > code");
    return { element, text: [...parts].map((part) => part.textContent).join(" ").toLowerCase() };
  });

  const links = [...document.querySelectorAll("nav a")].map((link) => {
    const target = document.getElementById(link.getAttribute("href").slice(1));
    return { link, target, entry: link.closest("li") || link };
  });
  const folds = [...document.querySelectorAll("nav details")];

  const isShown = (element) => !element.closest("[hidden]");

  function apply() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const active = words.length > 0;
    let count = 0;
    for (const { element, text } of items) {
      const shown = words.every((word) => text.includes(word));
      element.hidden = !shown;
      if (shown) count += 1;
    }
    for (const section of sections) {
      section.hidden = active && !section.querySelector("article:not([hidden]), tr[id]:not([hidden])");
    }
    for (const wide of document.querySelectorAll("section > .wide")) {
      const rows = wide.querySelectorAll("tr[id]");
      wide.hidden = active && rows.length > 0 && [...rows].every((row) => row.hidden);
    }
    for (const title of groupTitles) title.hidden = active;
    for (const { link, target, entry } of links) {
      if (!link.closest(".group") || link.closest("ul")) entry.hidden = active && !(target && isShown(target));
    }
    for (const fold of folds) {
      fold.closest("li").hidden = active && !fold.querySelector("li:not([hidden])");
      fold.open = active;
    }
    for (const group of document.querySelectorAll("nav .group")) {
      group.hidden = active && !group.querySelector("li:not([hidden])");
    }
    nothing.hidden = !active || count > 0;
    found.hidden = !active;
    found.textContent = active ? `${count} of ${items.length} match` : "";
  }

  // The filter is kept in the address, so that what was found can be sent to others: ?q=chat
  function remember() {
    const address = new URL(location.href);
    if (box.value.trim()) address.searchParams.set("q", box.value.trim());
    else address.searchParams.delete("q");
    if (address.href !== location.href) history.replaceState(null, "", address.href);
  }

  // A link to something that the filter hides takes the filter away.
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || isShown(target)) return;
    box.value = "";
    remember();
    apply();
    target.scrollIntoView();
  }

  box.hidden = false;
  box.value = new URL(location.href).searchParams.get("q") || "";
  box.addEventListener("input", () => { apply(); remember(); scrollTo(0, 0); });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    box.value = "";
    apply();
    remember();
  });
  addEventListener("keydown", (event) => {
    const typing = event.target.closest && event.target.closest("input, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    box.focus();
    box.select();
  });
  addEventListener("hashchange", reveal);
  document.querySelector("nav").addEventListener("click", (event) => {
    if (event.target.closest("a")) menu.checked = false;
  });

  // Beside the page as a file the other documents have the names that `openclaw protocol export` gives them.
  if (location.protocol === "file:") {
    for (const link of document.querySelectorAll("a[data-file]")) link.href = link.dataset.file;
  }

  if (box.value) apply();
  reveal();
})();

"use strict";
// Asks for this page again and puts the parts that changed in place. The new page is parsed apart, where no
// script runs and nothing loads; the policy of this page holds for what is taken over.
(() => {
  const parts = page => new Map([...page.querySelectorAll("[data-part]")].map(part => [part.dataset.part, part]));
  const sources = new Map([...parts(document)].map(([name, part]) => [name, part.innerHTML]));
  const contact = document.getElementById("contact");
  const spoken = document.getElementById("spoken");
  const seconds = Number(document.querySelector("[data-seconds]").dataset.seconds) || 3;
  const stateOf = page => page.querySelector(".state").textContent.trim();
  let tag = null;
  let waiting = false;

  const open = part => [...part.querySelectorAll("details[open] > summary")].map(summary => summary.textContent);
  const take = page => {
    const before = stateOf(document);
    const checked = [...document.querySelectorAll("input:checked")].map(input => input.id);
    for (const [name, fresh] of parts(page)) {
      const here = document.querySelector(`[data-part="${CSS.escape(name)}"]`);
      const inUse = here && here.contains(document.activeElement) && document.activeElement !== document.body;
      if (!here || inUse || sources.get(name) === fresh.innerHTML) continue;
      sources.set(name, fresh.innerHTML);
      const opened = open(here);
      for (const details of fresh.querySelectorAll("details")) {
        const summary = details.querySelector("summary");
        details.open = Boolean(summary) && opened.includes(summary.textContent);
      }
      here.replaceWith(document.adoptNode(fresh));
    }
    for (const id of checked) {
      const input = document.getElementById(id);
      if (input) input.checked = true;
    }
    document.title = page.title;
    if (stateOf(document) !== before) spoken.textContent = stateOf(document);
  };

  const ask = async () => {
    if (document.hidden || waiting) return;
    waiting = true;
    try {
      const answer = await fetch("/", { cache: "no-store", credentials: "omit", headers: tag ? { "If-None-Match": tag } : {} });
      if (answer.status === 200) {
        tag = answer.headers.get("ETag");
        take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      } else if (answer.status !== 304) throw new Error(`status ${answer.status}`);
      contact.textContent = "";
      contact.classList.remove("lost");
    } catch (error) {
      contact.textContent = "No answer from sightline watch; what stands here may be old.";
      contact.classList.add("lost");
    }
    waiting = false;
  };
  setInterval(ask, 1000 * seconds);
  document.addEventListener("visibilitychange", ask);
})();

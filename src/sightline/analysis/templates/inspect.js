"use strict";
// Everything shown comes out of the data block or the page as text: nothing here parses markup.
(() => {
  const block = document.getElementById("data");
  const list = document.querySelector(".list");
  if (!block || !list) return;
  const data = JSON.parse(block.textContent);
  const byId = id => document.getElementById(id);
  const panel = byId("details");
  const articles = [...list.querySelectorAll("article")];
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const make = (tag, name, ...inside) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...inside.map(part => (part instanceof Node ? part : String(part))));
    return element;
  };
  const numeral = value => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    const text = size !== 0 && (size < 1e-3 || size >= 1e4) ? value.toExponential(1) : String(+value.toPrecision(3));
    return text.replace("-", "−").replace("e+", "e");
  };
  const share = parts => (parts < 1 ? "< 0.01" : (parts / 100).toFixed(parts < 1000 ? 2 : 1)) + "\u202f%";
  const visible = text => (text === "" ? "∅" : text.replace(/ /g, "·").replace(/\n/g, "↵").replace(/\t/g, "⇥"));

  // --- tokens ------------------------------------------------------------------------------------------------

  const indices = new WeakMap();
  const tokensOf = strip => {
    const spans = [...strip.querySelectorAll(".t")];
    if (!indices.has(strip)) {
      let next = 0;
      for (const span of spans) {
        const index = span.dataset.i === undefined ? next : Number(span.dataset.i);
        indices.set(span, index);
        next = index + 1;
      }
      indices.set(strip, true);
    }
    return spans;
  };
  const answerOf = strip => data.answers[Number(strip.dataset.answer)];
  const rank = (values, index) => {
    const own = values[index];
    return own === null || own === undefined ? null : 1 + values.filter(value => value !== null && value > own).length;
  };

  const shading = () => {
    const checked = document.querySelector("input[name=score]:checked");
    const letter = checked ? checked.id.replace("score-", "") : "none";
    const score = data.scores.findIndex(one => one.letter === letter);
    const method = data.methods.findIndex(one => one.letter === letter);
    return { score, method };
  };

  let chosen = null;
  let held = false;

  const choose = (span, speak) => {
    if (span === chosen) return;
    if (chosen) chosen.classList.remove("chosen", "held");
    chosen = span;
    span.classList.add("chosen");
    tokensOf(span.closest(".strip"));
    render();
    if (speak) byId("spoken").textContent = panel.querySelector(".line").textContent;
  };
  // On a narrow screen the panel is a sheet: along the edge that is farther from the token it explains.
  const place = () => {
    const box = chosen.getClientRects()[0];
    panel.classList.toggle("above", Boolean(box) && box.top + box.bottom > innerHeight);
  };
  const hold = on => {
    held = on;
    if (chosen) chosen.classList.toggle("held", on);
  };
  const dismiss = () => {
    hold(false);
    if (chosen) chosen.classList.remove("chosen");
    chosen = null;
    panel.hidden = true;
    clearMap();
  };

  // --- the panel ---------------------------------------------------------------------------------------------

  const render = () => {
    if (!chosen) return;
    const strip = chosen.closest(".strip");
    const spans = tokensOf(strip);
    const index = indices.get(chosen);
    const answer = answerOf(strip);
    const following = spans[spans.indexOf(chosen) + 1];
    const last = following ? indices.get(following) : answer.count;
    const now = shading();
    const title = chosen.textContent;
    const close = make("button", "close", "×");
    close.type = "button";
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", dismiss);
    const parts = [close, make("h3", "", visible(title)), line(answer, index, now)];
    if (last - index > 1) parts.push(make("p", "quiet", `Written in ${last - index} tokens, of which this is the first; the shade is that of the highest.`));
    parts.push(...alternatives(answer, index, now));
    parts.push(make("h4", "", "Scores"), scoreTable(answer, index, now));
    if (data.methods.length) parts.push(make("h4", "", "Weights"), weightTable(answer, index, now));
    parts.push(...attention(answer, index));
    panel.replaceChildren(...parts);
    panel.hidden = false;
    place();
    showMap(strip, answer, index);
  };

  const line = (answer, index, now) => {
    const said = [`token ${index + 1} of ${answer.count}`];
    const own = answer.logProbs[index];
    if (own !== null && own !== undefined) said.push(`p = ${numeral(Math.exp(own))}`);
    if (now.score >= 0) said.push(`${data.scores[now.score].title} ${numeral(answer.scores[now.score][index])}`);
    if (now.method >= 0) said.push(`weight ${numeral(answer.weights[now.method][index])} under ${data.methods[now.method].title}`);
    return make("p", "quiet line", said.join(", "));
  };

  const table = (heads, rows) => {
    const row = (cells, tag) => make("tr", "", ...cells.map((cell, place) => {
      const element = make(place === 0 || tag === "th" ? "th" : "td", "", cell);
      if (element.tagName === "TH") element.scope = tag === "th" ? "col" : "row";
      return element;
    }));
    const body = make("tbody", "");
    for (const { cells, on } of rows) {
      const made = row(cells, "td");
      made.classList.toggle("on", on);
      body.append(made);
    }
    return make("table", "", make("thead", "", row(heads, "th")), body);
  };
  const ranked = (values, index) => {
    const place = rank(values, index);
    return place === null ? "–" : `${place} of ${values.length}`;
  };
  const scoreTable = (answer, index, now) => table(["", "score", "rank"], data.scores.map((one, place) => (
    { cells: [one.title, numeral(answer.scores[place][index]), ranked(answer.scores[place], index)], on: place === now.score })));
  const effect = weight => (weight === null || weight === undefined ? "–" : weight < 0.005 ? "dropped" : weight < 0.995 ? "damped" : weight > 1.005 ? "amplified" : "unchanged");
  const weightTable = (answer, index, now) => table(["", "weight", "rank", ""], data.methods.map((one, place) => (
    { cells: [one.title, numeral(answer.weights[place][index]), ranked(answer.weights[place], index), effect(answer.weights[place][index])], on: place === now.method })));

  const alternatives = (answer, index, now) => {
    const view = now.score >= 0 && data.viewOf[now.score] !== null ? data.viewOf[now.score] : 0;
    const seen = answer.likeliest[0] && answer.likeliest[0][index];
    const blind = answer.likeliest[view + 1] && answer.likeliest[view + 1][index];
    if (!seen && !blind) return [];
    const said = chosen.textContent.trim();
    const same = make("p", "quiet", seen ? "the same (KL below 0.001)" : "not kept");
    return [make("h4", "", "Likeliest tokens here"), make("div", "pair-of-lists",
      make("div", "", make("h4", "", "with the image"), seen ? listed(seen, said) : make("p", "quiet", "not kept")),
      make("div", "", make("h4", "", data.views[view] ? `without (${data.views[view]})` : "without"), blind ? listed(blind, said) : same))];
  };
  const shareCell = parts => {
    const bar = make("span", "share");
    bar.style.setProperty("--share", parts / 10000);
    return make("td", "bar-cell", share(parts), bar);
  };
  const rowHead = (name, text) => {
    const head = make("th", name, text);
    head.scope = "row";
    return head;
  };
  const listed = (pairs, said) => {
    const body = make("tbody", "");
    for (let place = 0; place < pairs.length; place += 2) {
      const text = data.vocabulary[pairs[place]];
      const word = rowHead("word", visible(text));
      word.title = text;
      body.append(make("tr", text.trim() === said ? "said" : "", word, shareCell(pairs[place + 1])));
    }
    return make("table", "", body);
  };
  const attention = (answer, index) => {
    const parts = answer.attention.map(([name, values]) => [name, values[index]]).filter(([, value]) => value !== null && value !== undefined);
    if (!parts.length) return [];
    const rows = parts.map(([name, value]) => make("tr", "", rowHead("", name), shareCell(10000 * value)));
    return [make("h4", "", "Attention, mean of heads and layers"), make("table", "looking", make("tbody", "", ...rows))];
  };

  // --- occlusion maps ----------------------------------------------------------------------------------------

  const clearMap = () => {
    for (const old of document.querySelectorAll(".map")) old.remove();
    for (const caption of document.querySelectorAll(".mapped:not([hidden])")) caption.hidden = true;
  };
  const showMap = (strip, answer, index) => {
    clearMap();
    const article = strip.closest("article");
    const maps = answer.maps.filter(one => one.token === index);
    const most = Math.max(...maps.flatMap(one => one.values), 0.1);
    for (const one of maps) {
      const frame = article.querySelector(`.frame[data-image="${Number(one.image)}"]`);
      if (!frame) continue;
      const map = make("div", "map");
      map.style.setProperty("--rows", one.rows);
      map.style.setProperty("--columns", one.columns);
      const highest = Math.max(...one.values);
      for (const value of one.values) {
        const cell = make("span", value === highest ? "most" : "");
        cell.style.setProperty("--share", value / most);
        map.append(cell);
      }
      const peak = one.values.indexOf(highest);
      frame.append(map);
      const copy = frame.cloneNode(true);
      copy.className = "map-copy";
      panel.querySelector(".line").after(copy);
      const caption = frame.parentElement.querySelector(".mapped");
      caption.textContent = `KL of “${visible(chosen.textContent)}” when a cell is hidden: up to ${numeral(highest)}, row ${1 + Math.floor(peak / one.columns)}, column ${1 + (peak % one.columns)}`;
      caption.hidden = false;
    }
  };
  const markMapped = strip => {
    const mapped = new Set(answerOf(strip).maps.map(one => one.token));
    const spans = mapped.size ? tokensOf(strip) : [];
    if (spans.every(span => mapped.has(indices.get(span)))) return; // where all have one, a mark says nothing
    for (const span of spans) span.classList.toggle("mapped-token", mapped.has(indices.get(span)));
  };

  // --- pointing and keys -------------------------------------------------------------------------------------

  list.addEventListener("pointerover", event => {
    const span = event.target.closest(".strip .t");
    if (span && !held && event.pointerType !== "touch") choose(span, false);
  });
  list.addEventListener("click", event => {
    const span = event.target.closest(".strip .t");
    if (!span) return;
    const again = span === chosen && held;
    choose(span, true);
    hold(!again);
  });
  const step = (strip, by) => {
    const spans = tokensOf(strip);
    const at = chosen && strip.contains(chosen) ? spans.indexOf(chosen) : -1;
    const next = by === "first" ? 0 : by === "last" ? spans.length - 1 : at < 0 ? 0 : Math.min(Math.max(at + by, 0), spans.length - 1);
    if (!spans[next]) return;
    const keep = held;
    choose(spans[next], true);
    hold(keep);
    spans[next].scrollIntoView({ block: "nearest", behavior: "instant" });
    place();
  };
  list.addEventListener("keydown", event => {
    const strip = event.target.closest(".strip");
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: "first", End: "last" };
    if (!strip || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in moves) step(strip, moves[event.key]);
    else if (event.key === "Enter" && chosen) hold(!held);
    else return;
    event.preventDefault();
  });
  const radios = [...document.querySelectorAll("input[name=score]")];
  document.addEventListener("keydown", event => {
    if (event.key === "Escape") { dismiss(); return; }
    const typing = event.target.closest && event.target.closest("input:not([type=radio], [type=checkbox], [type=range]), select, textarea");
    if (typing || !byId("shortcuts").checked || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "j" || event.key === "k") turn(event.key === "j" ? 1 : -1);
    else if (event.key === "/") byId("find").focus();
    else if (/^[1-9]$/.test(event.key) && radios[event.key - 1]) radios[event.key - 1].click();
    else return;
    event.preventDefault();
  });
  const turn = by => {
    const shown = [...list.querySelectorAll("article:not([hidden])")];
    const here = document.activeElement && document.activeElement.closest("article");
    const at = shown.indexOf(here);
    const next = shown[at < 0 ? 0 : Math.min(Math.max(at + by, 0), shown.length - 1)];
    if (!next) return;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "start", behavior: still.matches ? "auto" : "smooth" });
  };

  // --- the slider over methods -------------------------------------------------------------------------------

  const slider = byId("method");
  const stops = data.methods.map(one => byId(`score-${one.letter}`));
  const slide = () => {
    const at = stops.findIndex(stop => stop && stop.checked);
    if (!slider) return;
    if (at >= 0) slider.value = at;
    slider.setAttribute("aria-valuetext", data.methods[Number(slider.value)].title);
  };
  if (slider) for (const kind of ["input", "click"]) slider.addEventListener(kind, () => stops[Number(slider.value)].click());
  slide();

  // --- filters and order -------------------------------------------------------------------------------------

  const texts = articles.map(article => article.textContent.toLowerCase());
  const answersOf = article => [...article.querySelectorAll(".strip")].map(answerOf);
  const average = values => {
    const known = values.filter(value => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  };
  const filter = () => {
    const verdict = byId("by-verdict").value;
    const kind = byId("by-kind").value;
    const wanted = byId("find").value.trim().toLowerCase();
    let count = 0;
    articles.forEach((article, place) => {
      const passes = (!verdict || article.dataset.verdicts.split(" ").includes(verdict))
        && (!kind || article.dataset.kind === kind) && (!wanted || texts[place].includes(wanted));
      article.hidden = !passes;
      count += passes;
    });
    const all = `${articles.length} problem${articles.length === 1 ? "" : "s"}`;
    byId("count").textContent = count === articles.length ? all : `${count} of ${all}`;
    byId("none").hidden = count > 0;
    if (chosen && chosen.closest("article").hidden) dismiss();
  };
  const sort = () => {
    const way = Number(byId("order").value);
    const { score, method } = shading();
    const column = answer => (method >= 0 ? answer.weights[method] : answer.scores[Math.max(score, 0)]) || [];
    const keys = new Map(articles.map(article => [article, Math.max(...answersOf(article).map(answer => average(column(answer)) ?? -Infinity), -Infinity)]));
    const ordered = way ? [...articles].sort((one, other) => way * (keys.get(one) - keys.get(other))) : articles;
    list.prepend(...ordered);
  };
  for (const id of ["by-verdict", "by-kind"]) byId(id).addEventListener("change", filter);
  byId("find").addEventListener("input", filter);
  byId("order").addEventListener("change", sort);
  for (const radio of radios) radio.addEventListener("change", () => { if (byId("order").value) sort(); slide(); render(); });
  document.querySelector(".filters").addEventListener("submit", event => event.preventDefault());

  // What sticks below the tools has to know how high they are.
  const tools = document.querySelector(".tools");
  new ResizeObserver(() => document.documentElement.style.setProperty("--tools", `${tools.offsetHeight}px`)).observe(tools);

  document.body.classList.add("scripted-on");
  for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
  for (const strip of list.querySelectorAll(".strip")) markMapped(strip);
  filter();
})();

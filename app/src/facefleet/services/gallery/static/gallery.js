// New faces come in at the top, older ones at the end.

import { page } from "./page.js";
import { showTimes } from "./times.js";
import { follow } from "./viewer.js";

const MOST_TILES = 600; // a page left open for a day must not hold a day's faces
const grid = document.querySelector("#faces");
const olderLink = document.querySelector("#older");
const waitingButton = document.querySelector("#waiting");
const fault = document.querySelector("#fault");
const deaf = document.querySelector("#deaf");
const clocks = document.querySelector("#clocks");
const MOST_CLOCKS = 24;
const live = document.querySelector("#live");
const home = new URL(location.href);
const waiting = new Map(); // moment -> tile: faces that came while the person looks further down
let gap = false; // between what waits and what is shown lies more than was kept

const tilesOf = (root) => [...root.querySelectorAll("li[data-at]")];
const atTop = () => scrollY < 120 && !document.querySelector("#viewer").open;

// Older faces

let loading = null;

export function loadOlder() {
  loading ??= appendOlder().finally(() => { loading = null; });
  return loading;
}

async function appendOlder() {
  if (olderLink.hidden) return;
  olderLink.setAttribute("aria-busy", "true");
  try {
    const doc = await page(olderLink.href);
    grid.append(...tilesOf(doc).map((tile) => document.adoptNode(tile)));
    const next = doc.querySelector("#older");
    olderLink.href = next.href;
    olderLink.hidden = next.hidden;
    showTimes(grid);
  } catch (error) {
    say(error.message);
  } finally {
    olderLink.removeAttribute("aria-busy");
  }
  // The observer tells of changes only: where the link is still in sight, look again.
  if (fault.hidden) observe();
}

const observer = new IntersectionObserver(
  (entries) => { if (entries.some((entry) => entry.isIntersecting)) loadOlder(); },
  { rootMargin: "800px" },
);

function observe() {
  observer.unobserve(olderLink);
  observer.observe(olderLink);
}

olderLink.addEventListener("click", (event) => {
  event.preventDefault();
  loadOlder();
});

// New faces

function insert(tile) {
  const after = tilesOf(grid).find((other) => other.dataset.at <= tile.dataset.at);
  if (after?.dataset.at === tile.dataset.at) return;
  if (!after && grid.childElementCount && !olderLink.hidden) return; // comes with the older ones
  tile.classList.add("new");
  grid.insertBefore(tile, after ?? null);
}

function count(tile) {
  const chip = document.querySelector(`.count[data-camera="${CSS.escape(tile.dataset.camera)}"]`);
  const newest = Number(tile.dataset.number);
  if (chip && newest > Number(chip.textContent.replaceAll(",", ""))) {
    chip.textContent = newest.toLocaleString("en");
  }
}

function receive(tiles) {
  tiles.forEach(count);
  if (atTop()) {
    tiles.forEach(insert);
    trim();
  } else {
    const known = new Set(tilesOf(grid).map((tile) => tile.dataset.at));
    for (const tile of tiles) if (!known.has(tile.dataset.at)) waiting.set(tile.dataset.at, tile);
    while (waiting.size > MOST_TILES) {
      waiting.delete(waiting.keys().next().value);
      gap = true;
    }
  }
  showWaiting();
  showTimes(grid);
}

function showWaiting() {
  waitingButton.hidden = waiting.size === 0;
  waitingButton.textContent = waiting.size === 1 ? "1 new face ↑" : `${waiting.size} new faces ↑`;
}

function flush() {
  const tiles = [...waiting.values()];
  waiting.clear();
  showWaiting();
  if (gap) {
    gap = false;
    refresh();
    return;
  }
  tiles.forEach(insert);
  trim();
  showTimes(grid);
}

function trim() {
  const extra = [...grid.children].slice(MOST_TILES);
  if (!extra.length) return;
  extra.forEach((tile) => tile.remove());
  if ("partial" in grid.dataset) return; // there is no way to all that is older
  const last = grid.lastElementChild.querySelector("a").getAttribute("href");
  const older = new URL(home);
  older.searchParams.set("before", last.slice("/face/".length));
  olderLink.href = older;
  olderLink.hidden = false;
}

waitingButton.addEventListener("click", () => {
  scrollTo({ top: 0 });
  flush();
});
addEventListener("scroll", () => { if (waiting.size && atTop()) flush(); }, { passive: true });

// Clocks that are wrong: told apart, for a camera once

function tellClocks(root) {
  for (const item of root.querySelectorAll("#clocks > li, body > li")) {
    const known = clocks.querySelector(`[data-camera="${CSS.escape(item.dataset.camera)}"]`);
    if (known) known.replaceWith(document.adoptNode(item));
    else if (clocks.childElementCount < MOST_CLOCKS) clocks.append(document.adoptNode(item));
  }
  clocks.parentElement.hidden = !clocks.childElementCount;
}

// The stream, and what became of it

let refreshing = false;
let refreshAgain = false;

async function refresh() {
  if (refreshing) {
    refreshAgain = true;
    return;
  }
  refreshing = true;
  try {
    const doc = await page(home);
    document.querySelector("#cameras").replaceWith(document.adoptNode(doc.querySelector("#cameras")));
    tellClocks(doc);
    const tiles = tilesOf(doc).map((tile) => document.adoptNode(tile));
    const newest = tilesOf(grid)[0]?.dataset.at ?? "";
    const missedSome = tiles.length && tiles.at(-1).dataset.at > newest;
    if (missedSome && atTop()) {
      const older = doc.querySelector("#older");
      grid.replaceChildren(...tiles);
      olderLink.href = older.href;
      olderLink.hidden = older.hidden;
      showTimes(grid);
      observe();
    } else {
      receive(tiles.reverse());
      gap ||= missedSome;
    }
    hide(fault);
    if (live.dataset.state === "fault") state(...connection);
    if (!olderLink.hidden) observe();
  } catch (error) {
    say(error.message);
  } finally {
    refreshing = false;
    if (refreshAgain) {
      refreshAgain = false;
      refresh();
    }
  }
}

function state(name, text) {
  live.dataset.state = name;
  live.textContent = text;
}

function show(notice, sentence) {
  notice.querySelector("span").textContent = sentence;
  notice.hidden = false;
}

function hide(notice) {
  notice.querySelector("span").textContent = "";
  notice.hidden = true;
}

function say(sentence) {
  show(fault, sentence);
  state("fault", "trouble");
}

let connection = ["waiting", "connecting"]; // how new faces come, whatever the bucket does

function connect(name, text) {
  connection = [name, text];
  if (fault.hidden) state(name, text);
}

function watch() {
  const address = new URL("/events", home);
  for (const name of ["device", "camera"]) {
    if (home.searchParams.has(name)) address.searchParams.set(name, home.searchParams.get(name));
  }
  address.searchParams.set("mark", live.dataset.mark);
  const stream = new EventSource(address);
  // Every page is told at once: they do not all ask at once.
  stream.addEventListener("refresh", () => setTimeout(refresh, Math.random() * 500));
  stream.addEventListener("fault", (event) => say(JSON.parse(event.data)));
  stream.addEventListener("live", () => {
    hide(deaf);
    connect("live", "live");
  });
  stream.addEventListener("deaf", (event) => {
    show(deaf, `New faces do not appear by themselves: ${JSON.parse(event.data)}`);
    connect("deaf", "not live");
  });
  stream.addEventListener("faces", (event) => {
    const told = JSON.parse(event.data);
    const parse = (html) => new DOMParser().parseFromString(html, "text/html");
    tellClocks(parse(told.clocks));
    receive(tilesOf(parse(told.tiles)).map((tile) => document.adoptNode(tile)));
    if (told.more) connect("live", "live, more than can be shown");
  });
  stream.addEventListener("error", () => state("waiting", "reconnecting"));
  stream.addEventListener("open", () => state(...connection));
  // A page that is left keeps no stream: a browser allows few connections a site.
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

for (const button of document.querySelectorAll(".reload")) {
  button.addEventListener("click", () => location.reload());
}
if (!fault.hidden) state("fault", "trouble");
if (home.searchParams.has("before")) {
  state("fixed", "earlier faces");
} else {
  watch();
}
observe();
follow({ grid, loadOlder, onClose: () => { if (waiting.size && atTop()) flush(); } });

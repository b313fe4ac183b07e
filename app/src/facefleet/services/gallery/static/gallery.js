// Add new faces at the top of the page, and older ones at the end.

import { page } from "./page.js";
import { showTimes } from "./times.js";
import { follow } from "./viewer.js";

const MAX_TILES = 600; // bounds the memory of a page that is left open for a day
const grid = document.querySelector("#faces");
const olderLink = document.querySelector("#older");
const waitingButton = document.querySelector("#waiting");
const fault = document.querySelector("#fault");
const deaf = document.querySelector("#deaf");
const clocks = document.querySelector("#clocks");
const MAX_CLOCKS = 24;
const live = document.querySelector("#live");
const home = new URL(location.href);
const waiting = new Map(); // moment -> tile: new faces while the user has scrolled down
let gap = false; // some faces between the waiting and the displayed ones have been discarded

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
    reportFault(error.message);
  } finally {
    olderLink.removeAttribute("aria-busy");
  }
  // The observer reports only changes: observe again in case the link is still visible.
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
  if (!after && grid.childElementCount && !olderLink.hidden) return; // will be loaded with the older ones
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
    while (waiting.size > MAX_TILES) {
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
  const extra = [...grid.children].slice(MAX_TILES);
  if (!extra.length) return;
  extra.forEach((tile) => tile.remove());
  if ("partial" in grid.dataset) return; // older faces cannot be loaded on this page
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

// Wrong clocks, one entry per camera

function showClocks(root) {
  for (const item of root.querySelectorAll("#clocks > li, body > li")) {
    const known = clocks.querySelector(`[data-camera="${CSS.escape(item.dataset.camera)}"]`);
    if (known) known.replaceWith(document.adoptNode(item));
    else if (clocks.childElementCount < MAX_CLOCKS) clocks.append(document.adoptNode(item));
  }
  clocks.parentElement.hidden = !clocks.childElementCount;
}

// The event stream

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
    showClocks(doc);
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
    reportFault(error.message);
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

function reportFault(sentence) {
  show(fault, sentence);
  state("fault", "error");
}

let connection = ["waiting", "connecting"]; // state of the stream, regardless of bucket faults

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
  // All pages receive this event at the same time: spread their requests.
  stream.addEventListener("refresh", () => setTimeout(refresh, Math.random() * 500));
  stream.addEventListener("fault", (event) => reportFault(JSON.parse(event.data)));
  stream.addEventListener("live", () => {
    hide(deaf);
    connect("live", "live");
  });
  stream.addEventListener("deaf", (event) => {
    show(deaf, `New faces do not appear automatically: ${JSON.parse(event.data)}`);
    connect("deaf", "not live");
  });
  stream.addEventListener("faces", (event) => {
    const data = JSON.parse(event.data);
    const parse = (html) => new DOMParser().parseFromString(html, "text/html");
    showClocks(parse(data.clocks));
    receive(tilesOf(parse(data.tiles)).map((tile) => document.adoptNode(tile)));
    if (data.more) connect("live", "live, more than can be shown");
  });
  stream.addEventListener("error", () => state("waiting", "reconnecting"));
  stream.addEventListener("open", () => state(...connection));
  // Close the stream when leaving the page, as browsers allow few connections per site.
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

for (const button of document.querySelectorAll(".reload")) {
  button.addEventListener("click", () => location.reload());
}
if (!fault.hidden) state("fault", "error");
if (home.searchParams.has("before")) {
  state("fixed", "earlier faces");
} else {
  watch();
}
observe();
follow({ grid, loadOlder, onClose: () => { if (waiting.size && atTop()) flush(); } });

// Open a face large over the grid; the address bar shows the URL of the face's own page.

import { page } from "./page.js";
import { showTimes } from "./times.js";

const viewer = document.querySelector("#viewer");
const viewed = document.querySelector("#viewed");
const newer = document.querySelector("#newer-face");
const older = document.querySelector("#older-face");

export function follow({ grid, loadOlder, onClose }) {
  let tile = null; // the open tile

  async function show(item) {
    const link = item.querySelector("a");
    tile = item;
    let face;
    try {
      face = (await page(link.href)).querySelector("#face");
    } catch (error) {
      face = document.createElement("p");
      face.textContent = error.message;
    }
    if (tile !== item) return; // the user has chosen another face meanwhile
    viewed.replaceChildren(document.adoptNode(face));
    showTimes(viewed);
    newer.disabled = !item.previousElementSibling;
    const state = { face: link.pathname };
    if (viewer.open) {
      history.replaceState(state, "", link.href);
    } else {
      history.pushState(state, "", link.href);
      viewer.showModal();
    }
    viewer.scrollTop = 0;
  }

  function showNewer() {
    if (tile?.previousElementSibling) show(tile.previousElementSibling);
  }

  async function showOlder() {
    if (!tile?.nextElementSibling) await loadOlder();
    older.disabled = !tile?.nextElementSibling;
    if (tile?.nextElementSibling) show(tile.nextElementSibling);
  }

  grid.addEventListener("click", (event) => {
    const item = event.target.closest("li");
    if (!item || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    older.disabled = false;
    show(item);
  });
  newer.addEventListener("click", () => { older.disabled = false; showNewer(); });
  older.addEventListener("click", showOlder);
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") { older.disabled = false; showNewer(); }
    if (event.key === "ArrowRight") showOlder();
  });
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("close", () => {
    tile = null;
    if (history.state?.face) history.back();
    onClose();
  });
  addEventListener("popstate", () => {
    if (!history.state?.face) {
      if (viewer.open) viewer.close();
    } else if (!viewer.open) {
      location.reload();
    }
  });
}

// Fetch a page of the gallery as a document, whose parts can be reused.

export async function page(url) {
  const response = await fetch(url);
  const text = await response.text();
  const document = new DOMParser().parseFromString(text, "text/html");
  if (!response.ok) {
    throw new Error(document.querySelector("#fault:not([hidden]) > span, main h2")?.textContent ?? text);
  }
  return document;
}

// Small words for making elements and for how values look. Texts go in as text nodes, never as markup.

/** el("td", {class: "num", title: "…"}, "text", node, …): undefined and null children are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return node;
}

const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

export function duration(seconds) {
  for (const [name, size] of units)
    if (seconds >= 2 * size || size === 1) return `${Math.floor(Math.max(seconds, 0) / size)} ${name}`;
  return "";
}

function relative(time) {
  const seconds = (Date.now() - new Date(time)) / 1000;
  if (seconds < -5) return `in ${duration(-seconds)}`;
  return seconds < 5 ? "now" : `${duration(seconds)} ago`;
}

/** "8 min ago" or "in 8 min", the whole time in its title; tick() keeps it true. */
export function since(time) {
  if (!time || Number.isNaN(Date.parse(time))) return el("span", {class: "soft"}, "–");
  const title = new Date(time).toLocaleString(undefined, {dateStyle: "full", timeStyle: "long"});
  return el("time", {datetime: time, title, class: "nowrap"}, relative(time));
}

export function tick() {
  for (const node of document.querySelectorAll("time")) {
    const text = relative(node.dateTime);
    if (node.textContent !== text) node.textContent = text;
  }
}

export const gigabytes = (bytes) => (bytes === undefined ? "–" : `${(bytes / 2 ** 30).toFixed(1)} GB`);
export const megabytes = (bytes) => (bytes === undefined ? "–" : `${Math.round(bytes / 2 ** 20)} MB`);
export const percent = (value) => (value === undefined ? "–" : `${value.toFixed(1)} %`);
export const capital = (text) => (text ? text[0].toUpperCase() + text.slice(1) : "Unknown");

const moods = {
  online: "good", running: "good", done: "good", healthy: "good", succeeded: "good",
  failed: "bad", unhealthy: "bad", starting: "wait", stopping: "wait", held: "wait",
};
/** A state as a coloured word. */
export function pill(state, text = state, title) {
  return el("span", {class: `pill ${moods[state] ?? ""}`, title}, text);
}

/** rows: arrays of cells; a cell is a text, a node, or [class, content]. The headers label the cells on narrow screens. */
export function table(caption, headers, rows) {
  return el("table", {},
    el("caption", {class: "quiet"}, caption),
    el("thead", {}, el("tr", {}, headers.map((h) => el("th", {scope: "col", class: h.startsWith("#") ? "num" : null}, h.replace("#", ""))))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, i) => {
      const right = headers[i].startsWith("#");
      return el("td", {"data-label": headers[i].replace("#", ""), class: right ? "num" : null}, el("div", {}, cell));
    })))));
}

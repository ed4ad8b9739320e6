// Small helpers around the document. Text goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** element("td", {className: "size", dataset: {label: "Size"}}, "text", node…) */
export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  const { dataset, attributes, ...rest } = properties;
  Object.assign(node, rest);
  Object.assign(node.dataset, dataset);
  for (const [key, value] of Object.entries(attributes ?? {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Change the text only where it differs: unchanged cells cost no layout. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setData(node, key, value) {
  if (value === undefined || value === null || value === "") delete node.dataset[key];
  else if (node.dataset[key] !== value) node.dataset[key] = value;
}

/** Run `draw` once before the next picture, however often it is asked for; in a hidden tab, soon. */
export function oncePerFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    const run = () => { asked = false; draw(); };
    if (document.hidden) setTimeout(run, 200);
    else requestAnimationFrame(run);
  };
}

const NOTICE_MS = 7_000;
// So many own fills at once are told; a burst of more only shows in the list.
const MOST_NOTICES = 3;

/** Say something that a screen reader reads out too; refusals interrupt, the rest waits its turn. */
export function notice(text, { side, refusal = false } = {}) {
  const place = byId(refusal ? "refusals" : "notices");
  const line = element("p", { dataset: side ? { side } : {} }, text);
  while (place.children.length >= MOST_NOTICES) place.firstElementChild.remove();
  place.append(line);
  setTimeout(() => line.remove(), NOTICE_MS);
}

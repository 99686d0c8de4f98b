// One tooltip for the page: shown on hover and on focus of whatever has data-tip, closed by Escape.
// The same text is the element's description for screen readers, so the tooltip itself is only for the eye.

import { $, h } from "./dom.js";

const bubble = h("div", { class: "tooltip", "aria-hidden": "true", hidden: true });
let shownFor = null;
let count = 0;

function place(target) {
  bubble.hidden = false;
  const box = target.getBoundingClientRect();
  const own = bubble.getBoundingClientRect();
  const left = Math.max(8, Math.min(box.left + box.width / 2 - own.width / 2, document.documentElement.clientWidth - own.width - 8));
  const below = box.bottom + 8;
  const top = below + own.height > window.innerHeight - 8 && box.top - own.height - 8 > 0 ? box.top - own.height - 8 : below;
  bubble.style.left = `${left}px`;
  bubble.style.top = `${top}px`;
}

function show(target) {
  shownFor = target;
  bubble.replaceChildren(...target.dataset.tip.split("\n").map((line) => h("p", {}, line)));
  place(target);
}

export function hide() {
  if (!shownFor) return false;
  shownFor = null;
  bubble.hidden = true;
  return true;
}

/** Close it if it belongs to something in the element, which is about to go. */
export const hideWithin = (element) => shownFor && element.contains(shownFor) && hide();

/** An element with a tooltip, and the same words hidden beside it as its description: insert both. */
export function described(element, text) {
  const words = h("span", { id: `tip-${(count += 1)}`, hidden: true }, text);
  element.setAttribute("aria-describedby", words.id);
  element.dataset.tip = text;
  return [element, words];
}

/** A term with its definition: a button, so that it can have the focus. */
export const term = (label, definition) =>
  definition ? described(h("button", { type: "button", class: "term" }, label), definition) : [h("span", {}, label)];

export function start() {
  document.body.append(bubble);
  const find = (event) => event.target instanceof Element && event.target.closest("[data-tip]");
  document.addEventListener("pointerover", (event) => {
    const target = find(event);
    if (target) show(target);
    else if (shownFor && shownFor !== document.activeElement) hide();
  });
  document.addEventListener("focusin", (event) => (find(event) ? show(find(event)) : hide()));
  document.addEventListener("focusout", hide);
  window.addEventListener("scroll", hide, { passive: true });
  window.addEventListener("resize", hide, { passive: true });
}

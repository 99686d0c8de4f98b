// What a reader of the figures should know about the data.

import { h } from "./dom.js";
import * as format from "./format.js";

const count = (n) => format.value(n, "count");
/** Text whose parts between backticks are code. */
const withCode = (text) => (text ?? "").split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
const SIGNS = { warning: "!", info: "i" };

export function notices(panel, { data }, page) {
  const input = page.about?.input?.records === undefined ? null : page.about.input;
  const account = input && h("dl", { class: "account" }, [
    ["Rows read", input.records], ["Used", input.staged], ["Duplicates", input.duplicates], ["Rejected", input.rejected], ["Blank", input.blank],
  ].filter(([, n], i) => i < 2 || n).map(([name, n]) => h("div", {}, h("dt", {}, name), h("dd", {}, count(n)))));
  const list = data.length
    ? h("ul", { class: "notices" }, data.map((notice) => h("li", { class: `notice notice-${notice.level}`, "data-kind": notice.kind },
      h("span", { class: "notice-sign", "aria-hidden": "true" }, SIGNS[notice.level] ?? "i"),
      h("div", {}, h("p", { class: "notice-title" }, h("span", { class: "sr" }, `${notice.level === "warning" ? "Warning" : "Note"}: `), notice.title,
        notice.count != null && h("span", { class: "notice-count" }, count(notice.count))),
      h("p", { class: "notice-detail" }, withCode(notice.detail), notice.kind === "conflicts" && [" ", h("a", { href: page.link("conflicts.csv").replace(/\?.*/, ""), download: true }, "Files and lines (CSV)")])))))
    : h("p", { class: "quiet" }, "Nothing to report: every row was read and used once.");
  const tests = page.about?.tests?.pass && h("p", { class: "foot-note" }, `${format.plural(page.about.tests.pass, "data test")} passed${page.about.tests.warn ? `, ${page.about.tests.warn} with a warning` : ""} before this build was published.`);
  panel.show(account, list, tests);
}

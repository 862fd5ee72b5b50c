// SPDX-License-Identifier: Apache-2.0
#include "page/assets.h"

#include <algorithm>
#include <array>
#include <utility>

namespace hoplock::page {

namespace {

// Colours have a contrast of 4.5 at least on each ground that they stand on (WCAG 2.2, AA); tests/e2e/test_page.py computes it.
constexpr std::string_view style =
    R"(:root { color-scheme: light dark; --back: #fff; --text: #16191d; --dim: #525c66; --line: #d5d8dc; --soft: #f3f5f7; --link: #0b57a8;
  --good: #14692f; --good-back: #e8f5ec; --attention: #7a4a00; --attention-back: #fdf3df; --bad: #a31813; --bad-back: #fdecea; --focus: #0b57a8;
  --c1: #3b6fb6; --c2: #2e8b57; --c3: #c98a1b; --c4: #c0392b; --c5: #7d5ba6; --grid: #d5d8dc }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e3e6ea; --dim: #a5afba; --line: #363c44; --soft: #1d2126; --link: #84b8f2;
  --good: #68d492; --good-back: #14291b; --attention: #f0b75a; --attention-back: #2e2412; --bad: #ff968f; --bad-back: #35191a; --focus: #84b8f2;
  --c1: #6ea3e0; --c2: #55b87f; --c3: #e0ac4e; --c4: #e8756a; --c5: #b39ad6; --grid: #363c44 } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 0 1rem 2rem; background: var(--back); color: var(--text); overflow-wrap: anywhere }
a { color: var(--link) } :focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 2px }
h1 { font-size: 1.45rem; line-height: 1.3; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
time, .whole { white-space: nowrap } p { margin: .3rem 0 } .dim, footer { color: var(--dim) } footer { margin-top: 2.5rem; font-size: .9rem; border-top: 1px solid var(--line); padding-top: .6rem }
.unseen { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
.skip { position: absolute; left: -100rem } .skip:focus { left: 1rem; top: .5rem; background: var(--back); padding: .3rem .6rem; z-index: 1 }
header { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: center; justify-content: space-between; padding: .8rem 0 }
header .home { font-weight: 600; color: inherit; text-decoration: none; min-width: 0 } header .home:hover { text-decoration: underline }
form { display: flex; gap: .4rem; min-width: 0 } input, button { font: inherit; color: inherit; background: var(--soft); border: 1px solid var(--dim); border-radius: 6px; padding: .35rem .6rem; min-height: 2.4rem }
input { width: 100%; min-width: 0; max-width: 20rem } input::placeholder { color: var(--dim); opacity: 1 } button { cursor: pointer; white-space: nowrap; overflow-wrap: normal }
code { font: .92em/1.4 ui-monospace, monospace } .command { background: var(--soft); border: 1px solid var(--line); border-radius: 4px; padding: .05rem .35rem; user-select: all; color: var(--text); display: inline-block; max-width: 100% }
.verdict { border-left: 6px solid; border-radius: 6px; padding: .9rem 1.1rem; margin: .3rem 0 1rem } .verdict ul { margin: .7rem 0 0; padding-left: 1.2rem } .verdict li { margin: .3rem 0 }
.verdict h1::before { content: "\2713"; margin-right: .5rem } .verdict.attention h1::before { content: "!" } .verdict.bad h1::before { content: "\2717" }
.verdict.good { color: var(--good); background: var(--good-back) } .verdict.attention { color: var(--attention); background: var(--attention-back) } .verdict.bad { color: var(--bad); background: var(--bad-back) }
.verdict li { color: var(--text) }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem; margin: 1rem 0 } .figures div { background: var(--soft); border-radius: 6px; padding: .6rem .8rem; display: flex; flex-direction: column-reverse; justify-content: flex-end; min-width: 0 }
.figures dd { margin: 0; font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums } .figures dt { color: var(--dim); font-size: .9rem }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .4rem 0 } .facts dt { color: var(--dim) } .facts dd { margin: 0; min-width: 0 }
table { border-collapse: collapse; width: 100%; margin: .3rem 0 } th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
table:not(:has(th:nth-child(4))) { width: auto; min-width: min(26rem, 100%) } th { font-weight: 600; color: var(--dim); font-size: .9rem; white-space: nowrap } td:first-child:not(.n) { min-width: 11rem } .n { text-align: right; font-variant-numeric: tabular-nums } td.n { white-space: nowrap; overflow-wrap: normal } td.n, th.n { padding-left: .4rem } .scroll { overflow-x: auto }
ul.waits, ol.time { list-style: none; padding: 0; margin: .3rem 0 } .waits li { border-bottom: 1px solid var(--line) }
summary { cursor: pointer; padding: .5rem 0 } .waits summary { display: flex; flex-wrap: wrap; gap: .1rem .9rem; align-items: baseline } .waits summary::before { content: "\25B8"; color: var(--dim); width: .8rem } .waits [open] > summary::before { content: "\25BE" }
.waits summary::-webkit-details-marker { display: none } .waits .who { font-weight: 600; flex: 1 1 14rem; min-width: 0 } .waits summary > * { min-width: 0 } .inside { padding: 0 0 1rem 1.7rem; min-width: 0 }
.side { font-size: .85rem; border: 1px solid; border-radius: 99px; padding: 0 .6rem; white-space: nowrap } .side.ours { color: var(--bad) } .side.theirs { color: var(--dim) }
.label { font-weight: 600; margin-top: .6rem } blockquote { margin: .2rem 0 .8rem; padding: .5rem .8rem; background: var(--soft); border-left: 3px solid var(--line); user-select: all }
ol.time > li { border-left: 3px solid var(--line); margin: 0; padding: .1rem 0 .9rem 1rem; position: relative } ol.time > li::before { content: ""; position: absolute; left: -.5rem; top: .5rem; width: .75rem; height: .75rem; border-radius: 50%; background: var(--dim) }
ol.time > .good::before { background: var(--good) } ol.time > .attention::before { background: var(--attention) } ol.time > .bad::before { background: var(--bad) } ol.time b { font-weight: 600 } ol.time summary { padding: 0 }
pre { margin: .3rem 0; padding: .5rem .7rem; background: var(--soft); border-radius: 4px; white-space: pre-wrap; font: .88em/1.45 ui-monospace, monospace }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1.2rem 1.6rem } figure { margin: 0; min-width: 0 } figcaption { font-weight: 600 } svg { display: block; width: 100%; height: auto; max-width: 34rem }
svg text { fill: var(--dim); font: 10px system-ui, sans-serif } svg .grid { stroke: var(--grid); stroke-width: 1 } svg .hit { fill: transparent } svg g:hover > .hit { fill: var(--dim); fill-opacity: .18 } svg .line { fill: none; stroke-width: 1.8 }
.k1 { fill: var(--c1) } .k2 { fill: var(--c2) } .k3 { fill: var(--c3) } .k4 { fill: var(--c4) } .k5 { fill: var(--c5) } .line.k1 { stroke: var(--c1) } .line.k2 { stroke: var(--c2) } .line.k3 { stroke: var(--c3) } .line.k4 { stroke: var(--c4) } .line.k5 { stroke: var(--c5) }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1rem; padding: 0; margin: .2rem 0; font-size: .9rem } .legend svg { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; vertical-align: -.05rem }
.spans { display: flex; gap: .9rem; flex-wrap: wrap } .spans [aria-current] { font-weight: 600; color: var(--text); text-decoration: none } body.stale main { opacity: .9 } #live:not(:empty) { color: var(--bad); font-weight: 600 }
@media (max-width: 40rem) { body { padding: 0 .7rem 2rem } header form { flex: 1 1 100% } input { max-width: none } h1 { font-size: 1.25rem } .figures { grid-template-columns: 1fr 1fr } dl.facts { grid-template-columns: 1fr } .facts dd { margin-bottom: .4rem } .inside { padding-left: .2rem }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) } table, tbody, tr { display: block } table:not(:has(th:nth-child(4))) { min-width: 0 } tr { padding: .4rem 0; border-bottom: 1px solid var(--line) } td, td.n { border: 0; padding: .1rem 1rem .1rem 0; text-align: left; white-space: normal; overflow-wrap: anywhere } td { display: inline-block; max-width: 100% } td:first-child:not(.n) { min-width: 0 }
  td::before { content: attr(data-label) " "; color: var(--dim) } td[data-empty] { display: none } }
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth } }
@media print { figure details { display: none } body { max-width: none; font-size: 11pt; padding: 0 } header form, .skip, #live { display: none } details::details-content { content-visibility: visible; display: block; height: auto } section, li, tr, figure { break-inside: avoid } h2 { break-after: avoid } a { color: inherit; text-decoration: none } .verdict { border: 1px solid; border-left-width: 6px } }
)";

// Brings the parts of a page up to date from a new copy of it. What is open stays open, the focus and what is on the screen stay where
// they are, and a part in which somebody selects text or types waits. Without an answer the page says since when it is old.
constexpr std::string_view script = R"("use strict";
(() => {
  const pause = 10000, patience = 8000;
  const seen = new Map(); // of each part, what the server sent
  const parts = (root) => [...root.querySelectorAll("[data-part]")];
  const key = (part) => part.dataset.part;
  for (const part of parts(document)) seen.set(key(part), part.outerHTML);
  let since = null, timer = 0, busy = false;

  const inUse = (part) => {
    const at = document.activeElement, chosen = getSelection();
    return (at && part.contains(at) && at.matches("input, textarea, select")) || (chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode));
  };
  // how to find an element again in another copy of its part
  const trail = (part, element) => {
    if (!element || !part.contains(element)) return null;
    const details = element.matches("details[data-key] > summary") && element.parentElement;
    if (details) return (copy) => [...copy.querySelectorAll("details[data-key]")].find((one) => one.dataset.key === details.dataset.key)?.querySelector("summary");
    const href = element.getAttribute("href");
    return href && ((copy) => [...copy.querySelectorAll("a[href]")].find((one) => one.getAttribute("href") === href));
  };
  const renew = (part, fresh) => {
    const sent = fresh.outerHTML;
    if (seen.get(key(part)) === sent || inUse(part)) return;
    seen.set(key(part), sent);
    const open = new Map([...part.querySelectorAll("details[data-key]")].map((one) => [one.dataset.key, one.open]));
    const copy = document.importNode(fresh, true);
    for (const one of copy.querySelectorAll("details[data-key]")) if (open.has(one.dataset.key)) one.open = open.get(one.dataset.key);
    const focus = trail(part, document.activeElement);
    part.replaceWith(copy);
    if (focus) focus(copy)?.focus({ preventScroll: true });
  };
  // the parts that came, and those that went
  const arrange = (page) => {
    const main = document.querySelector("main"), other = page.querySelector("main"), wanted = [...other.children];
    const names = (children) => [...children].map(key).join();
    const all = new Set(wanted.map(key));
    for (const part of [...main.children]) if (!all.has(key(part))) part.remove();
    let at = main.firstElementChild;
    for (const part of wanted) {
      if (at && key(at) === key(part)) { at = at.nextElementSibling; continue; }
      main.insertBefore(document.importNode(part, true), at);
      seen.set(key(part), part.outerHTML);
    }
    if (names(main.children) !== names(wanted)) main.replaceChildren(...document.importNode(other, true).childNodes);
  };
  // what the reader looks at: the first that begins on the screen, else what fills it
  const landmark = () => {
    const marks = [...document.querySelectorAll("[data-part], details[data-key] > summary")].map((one) => [one, one.getBoundingClientRect()]);
    const found = marks.find(([, at]) => at.height > 0 && at.top >= 0) || marks.find(([one, at]) => one.dataset.part && at.bottom > 0);
    if (!found) return () => 0;
    const part = found[0].closest("[data-part]"), name = key(part), again = trail(part, found[0]), top = found[1].top;
    return () => {
      const fresh = parts(document).find((one) => key(one) === name), now = fresh && ((again && again(fresh)) || fresh);
      return now && (!again || now !== fresh) ? now.getBoundingClientRect().top - top : 0;
    };
  };
  const show = (page) => {
    const moved = landmark();
    arrange(page);
    const known = new Map(parts(document).map((part) => [key(part), part]));
    for (const part of parts(page)) if (known.has(key(part))) renew(known.get(key(part)), part);
    const by = scrollY > 0 ? moved() : 0;
    if (by !== 0) scrollBy({ top: by, behavior: "instant" }); // by nothing it would end a scrolling that is under way
    if (document.title !== page.title) document.title = page.title;
    const icon = document.querySelector("link[rel=icon]"), other = page.querySelector("link[rel=icon]");
    if (icon && other && icon.getAttribute("href") !== other.getAttribute("href")) icon.setAttribute("href", other.getAttribute("href"));
  };
  const fresh = () => {
    since = null;
    document.body.classList.remove("stale");
    document.getElementById("live").textContent = "";
  };
  const stale = (why) => {
    since ??= new Date();
    document.body.classList.add("stale");
    document.getElementById("live").textContent = `Not up to date since ${since.toISOString().slice(11, 16)} UTC: ${why}`;
    if (!document.title.startsWith("? ")) document.title = "? " + document.title;
  };
  const look = async () => {
    clearTimeout(timer);
    if (busy) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(patience) });
      const type = answer.headers.get("content-type") || "";
      if (answer.status >= 500 || !type.startsWith("text/html")) throw new Error(`the answer was ${answer.status}`);
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
      fresh();
    } catch (error) {
      stale(error instanceof TypeError || error.name === "TimeoutError" ? "hoplockd does not answer" : error.message);
    }
    busy = false;
    if (!document.hidden) timer = setTimeout(look, pause);
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
  if (parts(document).length > 0 && !document.hidden) timer = setTimeout(look, pause);
})();
)";

constexpr std::string_view good_icon =
    R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" fill="#14692f"/><path d="M8.5 17l5 5 10-11" fill="none" stroke="#fff" stroke-width="3.6"/></svg>)";
constexpr std::string_view attention_icon =
    R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="M16 2l15 27H1z" fill="#b87400"/><path d="M16 11v9m0 3v3.4" fill="none" stroke="#fff" stroke-width="3.4"/></svg>)";
constexpr std::string_view bad_icon =
    R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect x="1" y="1" width="30" height="30" rx="4" fill="#a31813"/><path d="M9 9l14 14M23 9L9 23" fill="none" stroke="#fff" stroke-width="3.6"/></svg>)";

constexpr std::string_view svg_type = "image/svg+xml";
constexpr std::array<std::pair<std::string_view, Asset>, 5> assets{{
    {"/page.css", {"text/css; charset=utf-8", style}},
    {"/page.js", {"text/javascript; charset=utf-8", script}},
    {"/icon/good.svg", {svg_type, good_icon}},
    {"/icon/attention.svg", {svg_type, attention_icon}},
    {"/icon/bad.svg", {svg_type, bad_icon}},
}};

}  // namespace

std::optional<Asset> asset_at(std::string_view path) {
  const auto* const found =
      std::find_if(assets.begin(), assets.end(), [&](const auto& one) { return one.first == path; });
  return found == assets.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace hoplock::page

"""Style sheet for screens, light and dark, and print."""

STYLE = """\
:root { color-scheme: light dark;
  --surface: #ffffff; --page: #f7f7f5; --ink: #1c1d1f; --soft: #5c6066; --line: #e2e2de;
  --link: #0a58a0; --good: #1d7a4f; --bad: #b3261e;
  --a1: #e3f1ea; --a2: #f1f5e4; --r1: #fdebd3; --r2: #f9d0b8; --r3: #f0a990;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Helvetica, Arial,
    sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
@media screen and (prefers-color-scheme: dark) {
  :root { --surface: #1b1d20; --page: #131416; --ink: #e6e6e3; --soft: #a0a4aa; --line: #33363a;
    --link: #7db8f0; --good: #5cc795; --bad: #ff8a7a;
    --a1: #16332a; --a2: #2b3320; --r1: #4a3519; --r2: #5c3020; --r3: #7a2d20; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 var(--sans); }
main { max-width: 76rem; margin: 0 auto; padding: 2.4rem 1.75rem 5rem; }
.eyebrow { margin: 0 0 0.35rem; font-size: 0.8rem; color: var(--soft); letter-spacing: 0.02em; }
.eyebrow span { font-family: var(--mono); margin-left: 0.4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.015em;
  margin: 0 0 1.4rem; overflow-wrap: anywhere; text-wrap: balance; }
h2 { font-size: 1.3rem; line-height: 1.3; font-weight: 650; letter-spacing: -0.01em;
  margin: 0 0 1rem; }
h3 { font-size: 1rem; line-height: 1.4; font-weight: 600; margin: 1.8rem 0 0.6rem;
  overflow-wrap: anywhere; }
h4 { font-size: 0.92rem; font-weight: 600; margin: 1.4rem 0 0.5rem; }
h2 + h3 { margin-top: 0; }
section { margin-top: 3.2rem; scroll-margin-top: 3.5rem; }
a { color: var(--link); text-underline-offset: 0.15em; text-decoration-thickness: 1px; }
small, .note, figcaption { font-size: 0.86rem; color: var(--soft); }
p, li, figcaption, .note { max-width: 46rem; }
.math { white-space: nowrap; font-family: "STIX Two Text", "Cambria Math", Cambria, Georgia,
  "Liberation Serif", serif; font-size: 1.06em; }
.math sub, .math sup { font-size: 0.74em; line-height: 0; }
.named { white-space: nowrap; }
.swatch { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 2px;
  margin-right: 0.45em; vertical-align: baseline; print-color-adjust: exact; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }

.tiles { list-style: none; margin: 0 0 1.5rem; padding: 0; display: grid;
  grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1rem; }
.tile { background: var(--surface); border: 1px solid var(--line); border-radius: 8px;
  padding: 0.85rem 1.1rem 0.9rem; max-width: none; }
.tile .label { display: block; font-size: 0.82rem; color: var(--soft); }
.tile strong { display: block; font-size: 1.75rem; line-height: 1.25; font-weight: 650;
  letter-spacing: -0.02em; font-variant-numeric: tabular-nums lining-nums; }
.tile .note { display: block; font-size: 0.82rem; margin: 0; }
.tile.good strong { color: var(--good); }
.tile.bad { border-color: var(--bad); }
.tile.bad strong { color: var(--bad); }
.tile.empty strong { color: var(--soft); }

.first { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 7fr); gap: 2rem;
  align-items: start; }
.first > :only-child { grid-column: 1 / -1; }
.summary p { margin: 0 0 0.8rem; overflow-wrap: anywhere; }
.summary p:first-child { font-size: 1.12rem; line-height: 1.45; }
nav { position: sticky; top: 0; z-index: 3; background: var(--page); margin: 2rem 0 0;
  border-bottom: 1px solid var(--line); overflow-x: auto; }
nav ul { display: flex; gap: 1.4rem; list-style: none; margin: 0; padding: 0; }
nav a { display: block; padding: 0.65rem 0; font-size: 0.9rem; color: var(--soft);
  text-decoration: none; white-space: nowrap; }
nav a:hover { color: var(--link); }

figure { position: relative; margin: 0; background: var(--surface); border: 1px solid var(--line);
  border-radius: 8px; padding: 1rem 1.1rem 1.1rem; min-width: 0; }
figure h3 { margin: 0 0 0.6rem; }
figure svg { display: block; width: 100%; height: auto; margin: 0 auto; }
.drawing { overflow-x: auto; }
.drawn { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
figure.themed svg { fill: var(--c000000); }
figure img { display: block; max-width: 100%; height: auto; }
figure.picture svg, figure.picture img { background: #fff; border-radius: 4px; }
figcaption { margin: 0.7rem 0 0; }
.figures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.25rem; }
.figures .wide { grid-column: 1 / -1; }

.box { overflow: auto; max-height: 42rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--surface); width: fit-content; max-width: 100%; }
table { border-collapse: separate; border-spacing: 0; font-size: 0.88rem; line-height: 1.4;
  font-variant-numeric: tabular-nums lining-nums; }
th, td { padding: 0.42rem 0.85rem; text-align: left; vertical-align: baseline;
  white-space: nowrap; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; }
td.prose { white-space: normal; min-width: 15rem; max-width: 30rem; }
thead th { position: sticky; top: 0; z-index: 1; background: var(--surface); font-weight: 600;
  vertical-align: bottom; white-space: normal; min-width: 4.5rem; }
tbody tr:last-child > * { border-bottom: 0; }
.beyond { position: relative; color: var(--bad); font-weight: 600; }
.beyond::after { content: " ✕"; font-size: 0.8em; }
.beyond .mark { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); }
.note { margin: 0.6rem 0 0; }

td:first-child:not(.prose) { position: sticky; left: 0; background: var(--surface); }
.heat th[scope="row"] { position: sticky; left: 0; z-index: 1; background: var(--surface);
  font-weight: 600; vertical-align: middle; }
.heat thead th:first-child { left: 0; z-index: 2; }
.heat th[scope="row"] a { color: inherit; text-decoration: none; }
.heat th[scope="row"] a:hover { text-decoration: underline; }
.heat thead a { color: inherit; text-decoration: none; white-space: nowrap; }
.heat td { padding: 0; border-left: 2px solid var(--surface); min-width: 6.2rem;
  border-bottom: 2px solid var(--surface); print-color-adjust: exact; text-align: center; }
.heat td a { display: block; padding: 0.42rem 0.6rem; color: var(--ink); text-decoration: none; }
.heat td a:hover { text-decoration: underline; }
.heat td small { display: block; line-height: 1.3; font-size: 0.75rem; color: inherit;
  opacity: 0.82; }
.heat .none { color: var(--soft); vertical-align: middle; }
.a1 { background: var(--a1); } .a2 { background: var(--a2); } .r1 { background: var(--r1); }
.r2 { background: var(--r2); } .r3 { background: var(--r3); }
.failed { box-shadow: inset 0 0 0 2px var(--bad); font-weight: 600; }

dl { margin: 0; font-size: 0.9rem; }
dl > div { display: grid; grid-template-columns: minmax(8rem, 12rem) minmax(0, 1fr);
  gap: 0 1.2rem; padding: 0.28rem 0; scroll-margin-top: 3.5rem; }
dl dl > div { grid-template-columns: minmax(6rem, 11rem) minmax(0, 1fr); padding: 0.12rem 0; }
dl dl + dl { margin-top: 0.5rem; padding-top: 0.5rem; border-top: 1px solid var(--line); }
dt { color: var(--soft); overflow-wrap: anywhere; }
.glossary dt { color: var(--ink); font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.checks, .files { list-style: none; margin: 0; padding: 0; }
.checks li, .files li { padding: 0.28rem 0; }
.checks li { display: grid; grid-template-columns: 4.2rem minmax(0, 1fr); max-width: 58rem; }
.checks .good b { color: var(--good); } .checks .bad b { color: var(--bad); }
.files span { color: var(--soft); font-size: 0.9rem; margin-left: 0.4rem; }

details { background: var(--surface); border: 1px solid var(--line); border-radius: 8px;
  margin: 0 0 0.6rem; }
details.bad { border-color: var(--bad); }
summary { cursor: pointer; padding: 0.6rem 1rem; font-weight: 600; overflow-wrap: anywhere; }
summary small { font-weight: 400; margin-left: 0.5rem; }
details > div { padding: 0.2rem 1.1rem 1.2rem; scroll-margin-top: 6rem; }
pre { background: var(--surface); border: 1px solid var(--line); border-radius: 8px;
  padding: 0.8rem 1rem; margin: 0; white-space: pre-wrap; font: 0.84rem/1.5 var(--mono);
  overflow-wrap: anywhere; }
pre code { font: inherit; }

@media (max-width: 60rem) {
  .first, .figures { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 36rem) {
  body { font-size: 15px; }
  main { padding: 1.4rem 0.9rem 3rem; }
  h1 { font-size: 1.45rem; margin-bottom: 1rem; }
  .tiles { gap: 0.5rem; }
  .tile { padding: 0.6rem 0.65rem; }
  .tile strong { font-size: 1.25rem; }
  .tile .label, .tile .note { font-size: 0.75rem; line-height: 1.35; }
  section { margin-top: 2.4rem; }
  figure { padding: 0.7rem; }
  .drawing svg { min-width: 33rem; }
  th, td { padding: 0.34rem 0.6rem; }
  .heat td { min-width: 5rem; }
  dl > div, dl dl > div { grid-template-columns: minmax(0, 1fr); }
  dl dl { padding-left: 0.9rem; }
}
@media print {
  body { font-size: 10pt; background: #fff; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  section { margin-top: 1.6rem; }
  .box { overflow: visible; max-height: none; border: 0; }
  table { font-size: 8pt; }
  th, td { padding: 0.2rem 0.45rem; white-space: normal; }
  td.prose { min-width: 8rem; }
  .heat td { min-width: 0; }
  thead th, td:first-child:not(.prose), .heat th[scope="row"] { position: static; min-width: 0; }
  details::details-content { content-visibility: visible; display: block; }
  h2, h3, summary { break-after: avoid; }
  figure, tr, pre, .tile { break-inside: avoid; }
  thead { display: table-header-group; }
}
@page { margin: 16mm 14mm; }
"""

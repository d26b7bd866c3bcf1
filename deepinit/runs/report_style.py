"""Style sheet for screens and print."""

STYLE = """\
:root { color-scheme: light; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: #fff; color: #1a1a1a;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Roboto, Helvetica,
    Arial, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 2.2rem 1.4rem 4rem; }
h1 { font-size: 1.85rem; line-height: 1.2; margin: 0 0 1.4rem; letter-spacing: -0.01em;
  overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2.6rem 0 0.8rem; padding-top: 0.9rem;
  border-top: 1px solid #d9d9d9; overflow-wrap: anywhere; }
p, li, figcaption, .note { max-width: 44rem; }
a { color: #0a58a0; }
nav { background: #f6f7f8; border: 1px solid #e2e4e6; border-radius: 6px;
  padding: 0.8rem 1.1rem; margin: 0 0 1.2rem; }
nav ol { margin: 0; padding-left: 1.5rem; columns: 18rem; column-gap: 2rem; }
nav li { margin: 0.15rem 0; break-inside: avoid; }
.summary { margin: 0; padding-left: 1.2rem; }
.summary li { margin: 0.4rem 0; }
figure { margin: 0; }
figure svg, figure img { display: block; height: auto; }
figure svg { width: 100%; }
figure img { max-width: 100%; }
figcaption, .note { color: #4a4a4a; font-size: 0.92rem; margin: 0.7rem 0 0; }
.box { overflow: auto; max-height: 40rem; border: 1px solid #d9d9d9; border-radius: 6px;
  width: fit-content; max-width: 100%; }
.box:focus-visible { outline: 2px solid #0a58a0; outline-offset: 2px; }
table { border-collapse: separate; border-spacing: 0; font-size: 0.92rem;
  font-variant-numeric: tabular-nums lining-nums; }
th, td { padding: 0.38rem 0.8rem; text-align: left; vertical-align: baseline;
  white-space: nowrap; border-bottom: 1px solid #ececec; }
td.number, th.number { text-align: right; }
td.prose { white-space: normal; min-width: 15rem; max-width: 30rem; }
thead th { position: sticky; top: 0; background: #f6f7f8; border-bottom: 1px solid #c9c9c9;
  font-weight: 600; vertical-align: bottom; white-space: normal; min-width: 4.5rem; }
tbody tr:last-child td { border-bottom: 0; }
tbody tr:hover td { background: #fafbfc; }
.beyond { color: #a3260b; font-weight: 600; }
.mark { font-size: 0.78rem; font-weight: 600; border: 1px solid currentColor; border-radius: 3px;
  padding: 0 0.3rem; margin-right: 0.35rem; white-space: nowrap; }
pre { background: #f6f7f8; border: 1px solid #e2e4e6; border-radius: 6px;
  padding: 0.8rem 1rem; margin: 0; white-space: pre-wrap;
  font: 0.86rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
  overflow-wrap: anywhere; }
pre code { font: inherit; }
dl { margin: 0; font-size: 0.92rem; }
dl > div { display: grid; grid-template-columns: minmax(8rem, 13rem) minmax(0, 1fr);
  gap: 0 1rem; padding: 0.28rem 0; border-bottom: 1px solid #f0f0f0; }
dl dl > div { grid-template-columns: minmax(6rem, 11rem) minmax(0, 1fr); padding: 0.12rem 0;
  border-bottom: 0; }
dl dl + dl { margin-top: 0.5rem; padding-top: 0.5rem; border-top: 1px solid #f0f0f0; }
dt { font-weight: 600; overflow-wrap: anywhere; }
dl dl dt { font-weight: 400; color: #4a4a4a; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
@media (max-width: 36rem) {
  main { padding: 1.3rem 0.9rem 3rem; }
  h1 { font-size: 1.45rem; }
  th, td { padding: 0.34rem 0.6rem; }
  dl > div, dl dl > div { grid-template-columns: minmax(0, 1fr); }
  dl dl { padding-left: 0.9rem; }
}
@media print {
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  .box { overflow: visible; max-height: none; border: 0; }
  table { font-size: 8.5pt; }
  th, td { padding: 0.22rem 0.5rem; }
  td.prose { min-width: 8rem; }
  thead th { position: static; min-width: 0; }
  nav { display: none; }
  h2 { break-after: avoid; }
  figure, tr, pre { break-inside: avoid; }
  thead { display: table-header-group; }
}
@page { margin: 18mm 16mm; }
"""

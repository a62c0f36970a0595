"""The look of an experiment's page, as CSS that needs nothing from the net."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfbfa; --card: #ffffff; --ink: #1f2933; --faint: #5c6773; --line: #e1e5ea; --stripe: #f5f7f9;
  --accent: #0a5f9e; --best: #dceefb; --warn: #9a3412; --shadow: 0 1px 3px rgb(15 23 42 / 0.08);
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --card: #1c2229; --ink: #e6eaee; --faint: #9aa6b2; --line: #313a44; --stripe: #20272f;
    --accent: #7cc0f5; --best: #17405f; --warn: #fdba74; --shadow: none;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
header, main { max-width: 82rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 3rem; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -0.02em; margin: 0 0 0.4rem; }
h2 {
  font-size: 1.35rem; line-height: 1.3; margin: 3rem 0 0.8rem; padding-top: 1.4rem; border-top: 1px solid var(--line);
}
h3 { font-size: 1rem; margin: 1.6rem 0 0.5rem; }
p { margin: 0.5rem 0; max-width: 52rem; }
a { color: var(--accent); text-underline-offset: 0.15em; }
.faint, figcaption, .notes { color: var(--faint); font-size: 0.9rem; }
ul { padding-left: 1.2rem; margin: 0.5rem 0; }
li { margin: 0.15rem 0; }
.scroll {
  overflow-x: auto; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px; box-shadow: var(--shadow);
}
table { border-collapse: collapse; width: 100%; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.45rem 0.65rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
thead th { color: var(--faint); font-weight: 600; }
tbody tr:last-child > * { border-bottom: 0; }
tbody tr:nth-child(even) > * { background: var(--stripe); }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--card); }
tbody th { font-weight: 500; }
td.best, tbody tr:nth-child(even) > td.best { background: var(--best); font-weight: 700; }
td small { color: var(--faint); font-size: 0.92em; }
td.text, th.text { text-align: left; }
td.error { color: var(--warn); text-align: left; white-space: normal; min-width: 22rem; }
figure { margin: 1.2rem 0; }
figure img {
  display: block; max-width: 100%; height: auto; background: #ffffff; padding: 0.8rem;
  border: 1px solid var(--line); border-radius: 10px; box-shadow: var(--shadow);
}
figcaption { margin-top: 0.4rem; }
footer { height: 4rem; }
@media (max-width: 40rem) {
  header, main { padding-left: 1rem; padding-right: 1rem; }
  h1 { font-size: 1.6rem; }
  th, td { padding: 0.4rem 0.6rem; }
  th:first-child { min-width: 8.5rem; white-space: normal; overflow-wrap: anywhere; }
}
@media print { .scroll { overflow: visible; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""

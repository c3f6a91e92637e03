"""The report as one page for a browser: works offline, loads nothing, shows real messages.

So it is for the owner's eyes: it lies in the data folder (0600) and goes when anybody is erased.
"""

import html
import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from model.assessment import Side
from model.examples import Example
from model.report import GOAL, SHOWN_TELLS, Facts
from model.sides import BASE, CANDIDATE, SIDES

COLOURS = {name: f"C{number}" for number, name in enumerate(SIDES)}
SHOWN_CONTEXT = 4  # turns

_STYLE = """
:root{color-scheme:light;--line:#d9dce3;--soft:#5a6270}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:62rem;padding:1.5rem;color:#1c2026}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
.verdict{font-size:1.25rem;border-left:.35rem solid #4b5fd6;padding:.4rem 1rem;margin:1rem 0}
.soft{color:var(--soft);font-size:.9rem}figure{margin:0}svg{max-width:100%;height:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{border-bottom:1px solid var(--line);padding:.3rem .5rem;text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left}thead th{font-weight:600}.this td{background:#eef1ff}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:.8rem;margin:.6rem 0 1.2rem}
.said{border:1px solid var(--line);border-radius:.5rem;padding:.5rem .7rem;white-space:pre-wrap;
overflow-wrap:anywhere}.said b{display:block;font-size:.8rem;color:var(--soft);font-weight:600}
.context{color:var(--soft);white-space:pre-wrap;overflow-wrap:anywhere}
.replies{table-layout:fixed}.replies td,.replies th{text-align:left;overflow-wrap:anywhere}
summary{cursor:pointer}.wide{overflow-x:auto}@media(max-width:40rem){.pair{grid-template-columns:1fr}}
"""

_METADATA = re.compile("<metadata>.*?</metadata>", re.DOTALL)

Column = tuple[str, Callable[[Facts], str]]


def write(
    path: Path,
    facts: Facts,
    rows: Sequence[Example],
    sides: Mapping[str, Side],
    past: Sequence[Facts] = (),
    nearest: Sequence[str] = (),
) -> None:
    """Write the page, readable for its owner only; `past` are earlier reports, oldest first.

    `nearest` is, for each of the model's replies, what it learned from that is most like it.
    """
    _write(path, page(facts, rows, sides, past, nearest))


def write_pairs(path: Path, title: str, rows: Sequence[Example], said: Sequence[str]) -> None:
    """Write a page that shows what was said to each row beside its own reply, as `write` does."""
    shown = (_example(row, text) for row, text in zip(rows, said, strict=True))
    _write(path, _document(html.escape(title), [f"<h1>{html.escape(title)}</h1>", *shown]))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(".partial")
    partial.touch(0o600)
    partial.write_text(text, "utf-8")
    os.replace(partial, path)


def page(
    facts: Facts,
    rows: Sequence[Example],
    sides: Mapping[str, Side],
    past: Sequence[Facts] = (),
    nearest: Sequence[str] = (),
) -> str:
    """The whole page."""
    name = html.escape(f"{facts['name']} ({facts['quant']})")
    body = [
        f"<h1>Can you tell {name} from the members?</h1>",
        f'<p class="verdict">{html.escape(facts["verdict"])}</p>',
        f"<p>{facts['sides'][CANDIDATE]['match']:.0%} match: so many of its replies could as well "
        f"be members'. Measured on {facts['contexts']} moments of conversations that are newer "
        "than all it learned from.</p>",
        _plot(_detectability, facts),
        "<h2>What gives it away</h2>",
        *(_tells(facts, rows, sides) or ["<p>Nothing that could not be chance.</p>"]),
        *_advice(facts),
        "<h2>All figures</h2>",
        "<p class=soft>Each column against what members said to the same messages. "
        "<i>Other members</i> spoke elsewhere: nobody can be more like members than they.</p>",
        *(_table(title, columns, facts) for title, columns in TABLES.items()),
        _plot(_lengths, rows, sides),
        *_history(facts, past),
        *_replies(rows, sides[CANDIDATE].texts, nearest),
        f"<p class=soft>{html.escape(_method(facts))}</p>",
    ]
    return _document(name, body)


def _document(title: str, body: Sequence[str]) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


# --- examples ---


def _tells(facts: Facts, rows: Sequence[Example], sides: Mapping[str, Side]) -> list[str]:
    found, shown = [], set[int]()
    for tell in sides[CANDIDATE].detection.tells[:SHOWN_TELLS]:
        found.append(f"<h3>{html.escape(tell.description)}</h3>")
        number = next((n for n in tell.examples if n not in shown), tell.examples[0])
        found.append(_example(rows[number], sides[CANDIDATE].texts[number]))
        shown.add(number)
    return found


def _example(row: Example, reply: str) -> str:
    context = "\n".join(f"{turn.name or '…'}: {turn.text}" for turn in row.turns[-SHOWN_CONTEXT:])
    shown = ((who, html.escape(text)) for who, text in (("a member", row.reply), ("bot", reply)))
    pair = "".join(f'<div class="said"><b>{who}</b><bdi>{text}</bdi></div>' for who, text in shown)
    before = f'<div class="context"><bdi>{html.escape(context)}</bdi></div>'
    return f'{before}<div class="pair">{pair}</div>'


def _replies(rows: Sequence[Example], said: Sequence[str], nearest: Sequence[str]) -> list[str]:
    """Every reply beside what the model learned from that is most like it."""
    if not nearest:
        return []
    lines = []
    for row, text, source in zip(rows, said, nearest, strict=True):
        asked = row.turns[-1].text if row.turns else ""
        cells = (f"<td><bdi>{html.escape(one)}</bdi></td>" for one in (asked, text, source or "-"))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    head = "<th>said to it</th><th>its reply</th><th>nearest message that it learned from</th>"
    return [
        "<h2>Every reply</h2><details><summary>Is it reciting? Each reply beside the message that "
        "it learned from and that is most like it</summary>"
        f'<table class="replies"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></details>"
    ]


def _advice(facts: Facts) -> list[str]:
    if not facts["advice"]:
        return []
    items = "".join(f"<li>{html.escape(one)}</li>" for one in facts["advice"])
    return [f"<h2>What to try next</h2><ul>{items}</ul>"]


# --- figures ---


def _figure(*names: str, digits: int = 2, percent: bool = False) -> Callable[[Facts], str]:
    """A figure of a side, by its names from the outside to the inside."""

    def show(side: Facts) -> str:
        value: Any = side
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            return "-"
        return f"{value:.{max(0, digits - 2)}%}" if percent else f"{value:.{digits}f}"

    return show


def _interval(name: str) -> Callable[[Facts], str]:
    def show(side: Facts) -> str:
        found = side["detection"]
        low, high = found[f"{name}_95"]
        return f"{found[name]:.2f} <span class=soft>{low:.2f} to {high:.2f}</span>"

    return show


TABLES: dict[str, list[Column]] = {
    "Told apart by a machine (0.5 is chance)": [
        ("AUC, 95 %", _interval("auc")),
        ("accuracy, 95 %", _interval("accuracy")),
        *((f"AUC, {n} at once", _figure("detection", "bags", str(n))) for n in (5, 10, 20)),
    ],
    "Shape of replies": [
        ("characters (median)", _figure("likeness", "characters", "others", digits=0)),
        ("distance of lengths (KS)", _figure("likeness", "characters", "ks")),
        ("messages a reply, distance", _figure("likeness", "lines", "ks")),
        ("mood, distance", _figure("likeness", "affect", "ks")),
        ("punctuation", _figure("likeness", "punctuation")),
        ("emoji", _figure("likeness", "emoji")),
        ("capitals", _figure("likeness", "casing")),
        ("laughter", _figure("likeness", "laughter")),
    ],
    "Words": [
        ("members' words", _figure("likeness", "others", "shared_tokens", percent=True)),
        ("slang known", _figure("likeness", "slang_recall", percent=True)),
        ("slang, times too often", _figure("likeness", "slang_overuse")),
        ("distinct pairs", _figure("likeness", "others", "distinct_2")),
        ("loops", _figure("likeness", "others", "loops", digits=3, percent=True)),
        ("frontier (0 is best)", _figure("likeness", "frontier")),
        ("style percentile", _figure("likeness", "style_percentile", digits=0)),
    ],
    "Sense and safety": [
        ("fits its context (MRR)", _figure("fit", "mrr")),
        ("the same, contexts swapped", _figure("fit", "swapped_mrr")),
        ("copies", _figure("copies", "rate", digits=3, percent=True)),
        ("longest copy, words", _figure("copies", "longest", digits=0)),
        ("empty", _figure("empty", digits=0)),
        ("secrets", _figure("secrets", digits=0)),
        ("pings", _figure("pings", digits=0)),
    ],
}


def _table(title: str, columns: Sequence[Column], facts: Facts) -> str:
    head = "".join(f"<th>{name}</th>" for name, _ in columns)
    lines = []
    for name in SIDES:
        if side := facts["sides"].get(name):
            cells = "".join(f"<td>{show(side)}</td>" for _, show in columns)
            mark = ' class="this"' if name == CANDIDATE else ""
            lines.append(f"<tr{mark}><td>{name}</td>{cells}</tr>")
    return (
        f'<div class="wide"><table><thead><tr><th>{title}</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _history(facts: Facts, past: Sequence[Facts]) -> list[str]:
    """This report among those before it, where they may be compared."""
    if not past:
        return []
    lines = []
    for one in [*past, facts]:
        found = one["sides"][CANDIDATE]
        bits = one["bits_per_char"].get(CANDIDATE)
        cells = (
            html.escape(f"{one['name']} ({one['quant']})"),
            html.escape(" + ".join(one["stages"]).upper()),
            f"{found['match']:.0%}",
            f"{found['detection']['auc']:.2f}",
            "-" if bits is None else f"{bits:.3f}",
            "yes" if one["data_hash"] == facts["data_hash"] else "no",
        )
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(
        f"<th>{name}</th>" for name in ("model", "how", "match", "AUC", "bits/char", "same data")
    )
    return [
        "<h2>Is it getting better?</h2>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    ]


def _method(facts: Facts) -> str:
    sampling = ", ".join(f"{name} {value}" for name, value in facts["sampling"].items())
    bits = ", ".join(f"{name} {value:.3f}" for name, value in facts["bits_per_char"].items())
    return (
        f"Bits per character of members' replies: {bits}. Seed {facts['seed']}; every model drew "
        f"with {sampling}. Two classifiers, on characters and words and on about 40 "
        "measures of style, were trained on other conversations than they judged."
    )


# --- plots ---


def _plot(draw: Callable[..., None], *data: Any) -> str:
    figure = Figure(figsize=(8.6, 2.9), layout="constrained")
    draw(figure, *data)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return f"<figure>{_METADATA.sub('', svg[svg.index('<svg') :])}</figure>"


def _detectability(figure: Any, facts: Facts) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    names = [name for name in SIDES if name in facts["sides"]]
    for place, name in enumerate(reversed(names)):
        found = facts["sides"][name]["detection"]
        low, high = found["auc_95"]
        left.plot([low, high], [place, place], color=COLOURS[name], linewidth=3)
        left.plot(found["auc"], place, "o", color=COLOURS[name])
        bags = {1: found["auc"], **{int(n): auc for n, auc in found["bags"].items()}}
        right.plot(list(bags), list(bags.values()), "o-", color=COLOURS[name], label=name)
    left.axvspan(0.5, GOAL, color="0.92")
    left.set(title="How well a machine tells it apart (AUC)", xlim=(0.42, 1.02))
    left.set_yticks(range(len(names)), names[::-1])
    right.set(title="... given so many replies at once", ylim=(0.42, 1.03), xticks=(1, 5, 10, 20))


def _lengths(figure: Any, rows: Sequence[Example], sides: Mapping[str, Side]) -> None:
    axes = figure.subplots()
    shown = {"members": [row.reply for row in rows]}
    shown |= {name: list(sides[name].texts) for name in (CANDIDATE, BASE) if name in sides}
    for name, texts in shown.items():
        lengths = sorted(max(1, len(text)) for text in texts)
        share = [(place + 1) / len(lengths) for place in range(len(lengths))]
        axes.step(lengths, share, color=COLOURS.get(name, "black"), label=name)
    axes.set(title="Length of replies", xscale="log", xlabel="characters", ylabel="share up to it")
    axes.legend(frameon=False)

"""A page that strangers open: what is in it and what is not, and a verdict from what they send."""

import json
import os
import random
import re
import shutil
import stat
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bot.config import UserError
from model import blind_test, blind_verdict
from model.blind_test import FORM, PAIRS, Item
from model.blind_verdict import ALIKE, APART, TOO_FEW, Verdict
from model.prompts import Turn

HOSTILE = (
    "</script><script>alert(1)</script>",
    '<img src=x onerror="alert(1)"> &lt;b&gt; &amp;',
    "<!-- <script> -->",
    "\u202eright to left\u2028\u2029\u0000",
    "\U0001f469\u200d\U0001f680 \ud83d TEST_DATA SCRIPT_HASH",
    "x" * 10_000,
)
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)

Choose = Callable[[dict[str, Any], str], str]  # a question and what is right, to a choice


def some_items(count: int, checks: int = 0, kept: str = "") -> list[Item]:
    context = (Turn("ann", f"so {kept}"), Turn(None, "what"), Turn("bob", "?"))
    made = [Item(f"item{n}", context, f"real {n}{kept}", f"bot {n}{kept}") for n in range(count)]
    poor = [
        Item(f"check{n}", context, f"real c{n}", "I am happy to help", True) for n in range(checks)
    ]
    return made + poor


class _Page(HTMLParser):
    """The scripts of a page by their type, and every attribute of every tag."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.scripts: dict[str, str] = {}
        self.attributes: list[tuple[str, str | None]] = []
        self._type: str | None = None
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self._type = (dict(attrs).get("type") or "") if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._type is not None:
            assert self._type not in self.scripts
            self.scripts[self._type] = data

    def handle_endtag(self, tag: str) -> None:
        self._type = None

    @property
    def test(self) -> dict[str, Any]:
        test: dict[str, Any] = json.loads(self.scripts["application/json"])
        return test


def write(folder: Path, items: Sequence[Item], kind: str = PAIRS, seed: int = 0) -> Path:
    blind_test.write(folder / "test.html", items, kind, seed)
    return folder / "test.html"


def judge(page: Path, number: int, choose: Choose, upto: int | None = None, **more: Any) -> Path:
    """A result file as the page makes it, by somebody who chooses so."""
    test, key = _Page(page).test, json.loads(page.with_suffix(".key.json").read_text("utf-8"))
    filled: dict[str, Any] = {"ratings": [4, 3, 5, 2, 1]}
    if test["kind"] == PAIRS:
        filled = {"reasons": ["too long"], "other": ""}
    answers = {
        question["id"]: {
            "choice": choose(question, key["answers"][question["id"]]["answer"]),
            **filled,
        }
        for question in test["questions"][:upto]
    }
    result = {"page": test["page"], "judge": f"judge{number:03}", "group": "stranger"}
    path = page.with_name(f"result{len(list(page.parent.glob('result*')))}.json")
    path.write_text(json.dumps({**result, "finished": 1, "answers": answers, **more}), "utf-8")
    return path


def knows(question: dict[str, Any], truth: str) -> str:
    return truth


def errs(question: dict[str, Any], truth: str) -> str:
    return next(
        choice
        for both in blind_test.CHOICES.values()
        if truth in both
        for choice in both
        if choice != truth
    )


def guesses(dice: random.Random) -> Choose:
    """Somebody who only tells the attention checks."""

    def choose(question: dict[str, Any], truth: str) -> str:
        if "I am happy to help" in question["replies"]:
            return truth
        return dice.choice((truth, errs(question, truth)))

    return choose


def score(page: Path, results: Sequence[Path]) -> Verdict:
    return blind_verdict.score(page.with_suffix(".key.json"), results)


@pytest.mark.parametrize("kind", [PAIRS, FORM])
def test_page_asks_nothing_of_any_network(tmp_path: Path, kind: str) -> None:
    page = write(tmp_path, some_items(4), kind)
    text = page.read_text("utf-8")
    for forbidden in ("http://", "https://", "innerHTML", "insertAdjacentHTML", "document.write"):
        assert forbidden not in text
    attributes = _Page(page).attributes
    names = {name for name, _ in attributes}
    assert not names & {"src", "href", "action", "srcset"}
    assert not any(name.startswith("on") for name in names)
    policy = next(value for _, value in attributes if value and value.startswith("default-src"))
    rules = dict(rule.split(maxsplit=1) for rule in policy.split(";"))
    assert rules.pop("style-src") == "'unsafe-inline'"
    assert rules.pop("script-src").startswith("'sha256-")
    assert set(rules.values()) == {"'none'"}


@pytest.mark.parametrize("kind", [PAIRS, FORM])
def test_hostile_texts_arrive_whole_and_stay_text(tmp_path: Path, kind: str) -> None:
    items = [
        Item(str(n), (Turn(text, text), Turn(None, "x")), text, text[::-1])
        for n, text in enumerate(HOSTILE)
    ]
    page = _Page(write(tmp_path, items, kind))
    assert set(page.scripts) == {"application/json", ""}
    assert not {"<", ">", "&"} & set(page.scripts["application/json"])
    shown = Counter(reply for one in page.test["questions"] for reply in one["replies"])
    texts = Counter(text for item in items for text in (item.real, item.bot))
    assert shown == texts if kind == PAIRS else shown <= texts
    assert sorted(one["context"][0][0] for one in page.test["questions"]) == sorted(HOSTILE)
    assert all(one["context"][1] == [None, "x"] for one in page.test["questions"])


@pytest.mark.parametrize("kind", [PAIRS, FORM])
def test_page_does_not_hold_the_key(tmp_path: Path, kind: str) -> None:
    page = write(tmp_path, some_items(10, checks=4), kind)
    text = page.read_text("utf-8")
    assert "item1" not in text and "check1" not in text and "is_check" not in text
    for question in _Page(page).test["questions"]:
        assert question.keys() == {"id", "context", "replies"}
    # the same texts the other way round make other dice: the seed alone does not tell the sides
    swapped = [Item(i.id, i.context, i.bot, i.real, i.is_check) for i in some_items(10, 4)]
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other", swapped, kind)
    order = [[q["replies"] for q in _Page(each).test["questions"]] for each in (page, other)]
    assert order[0] != order[1]


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps rights elsewhere")
def test_page_and_key_are_for_their_owner_alone(tmp_path: Path) -> None:
    page = write(tmp_path, some_items(2))
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {page.name, "test.key.json"}


@pytest.mark.parametrize("kind", [PAIRS, FORM])
def test_sides_are_balanced_and_follow_from_the_seed(tmp_path: Path, kind: str) -> None:
    page = write(tmp_path, some_items(50, checks=10), kind)
    first = page.read_bytes()
    key = json.loads(page.with_suffix(".key.json").read_text("utf-8"))["answers"].values()
    sides = Counter((answer["is_check"], answer["answer"]) for answer in key)
    one, other = blind_test.CHOICES[kind]
    assert (sides[False, one], sides[False, other]) == (25, 25)
    assert (sides[True, one], sides[True, other]) == ((5, 5) if kind == PAIRS else (0, 10))
    assert write(tmp_path, some_items(50, checks=10), kind).read_bytes() == first
    assert write(tmp_path, some_items(50, checks=10), kind, seed=1).read_bytes() != first


def test_key_says_which_reply_is_the_bots(tmp_path: Path) -> None:
    for kind, choices in blind_test.CHOICES.items():
        page = write(tmp_path, some_items(6, checks=2), kind)
        key = blind_test.read_key(page.with_suffix(".key.json"))
        for question in _Page(page).test["questions"]:
            who = ["member" if r.startswith("real") else "bot" for r in question["replies"]]
            right = choices[who.index("bot")] if kind == PAIRS else who[0]
            assert key.answers[question["id"]] == right


def test_nothing_to_judge_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to judge"):
        write(tmp_path, some_items(0, checks=3))


def test_colours_can_be_read(tmp_path: Path) -> None:
    themes = re.findall(
        r":root \{(.*?)\}", write(tmp_path, some_items(1)).read_text("utf-8"), re.DOTALL
    )
    assert len(themes) == 2
    for theme in themes:
        colour = dict(re.findall(r"--([a-z-]+): (#\w+)", theme))
        for front in ("text", "muted"):
            for back in ("page", "card"):
                assert contrast(colour[front], colour[back]) >= 4.5
        assert contrast(colour["text"], colour["chosen"]) >= 4.5
        assert contrast(colour["on-accent"], colour["accent"]) >= 4.5
        for back in ("page", "card"):
            assert contrast(colour["edge"], colour[back]) >= 3
            assert contrast(colour["focus"], colour[back]) >= 3


def contrast(one: str, other: str) -> float:
    """WCAG 2.1, relative luminance."""
    lights = []
    for colour in (one, other):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


DRIVER = """<script>
  const click = (selector) => document.querySelector(selector).click();
  click("[value=stranger]"); click("#start [type=checkbox]"); click("#start .go");
  for (let n = 0; !byId("question").hidden; n++) {
    const pressed = new KeyboardEvent("keydown", { key: "12"[n % 2], bubbles: true });
    document.body.dispatchEvent(pressed);
    if (isForm) document.querySelectorAll("#rubric [value='4']").forEach((mark) => mark.click());
    else { click("[value='too long']"); byId("other").value = " <i>odd</i> "; }
    click("#next");
  }
  document.body.replaceChildren(byId("result").value);
</script></body>"""


def browse(page: Path) -> str:
    """The page's text after its scripts have run."""
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={page.parent / 'b'}",
    )
    done = subprocess.run(
        [str(BROWSER), *options, "--dump-dom", page.as_uri()], capture_output=True, timeout=120
    )
    return done.stdout.decode("utf-8")


@pytest.mark.skipif(not BROWSER, reason="there is no browser")
@pytest.mark.parametrize("kind", [PAIRS, FORM])
def test_a_browser_runs_a_whole_judgment(tmp_path: Path, kind: str) -> None:
    page = write(tmp_path, some_items(6, kept=HOSTILE[0]), kind)
    assert '<span id="total">6</span>' in browse(page)  # so its policy lets its own script run
    text = page.read_text("utf-8").replace("Content-Security-Policy", "off")
    driven = tmp_path / "driven.html"
    driven.write_text(text.replace("</body>", DRIVER), "utf-8")
    found = re.search(r"\{\"page\".*\}", browse(driven))
    assert found
    result = tmp_path / "result.json"
    result.write_text(found[0].replace("&lt;", "<").replace("&gt;", ">"), "utf-8")
    verdict = score(page, [result])
    assert verdict.overall.answers == 6
    if kind == PAIRS:
        assert verdict.reasons["too long"][0] == 6
        assert verdict.notes == ("<i>odd</i>",) * 6
    else:
        assert verdict.ratings["Authenticity"] == (4, 4)


def test_who_guesses_once_is_too_little_to_conclude(tmp_path: Path) -> None:
    page = write(tmp_path, some_items(20, checks=5))
    verdict = score(page, [judge(page, n, guesses(random.Random(n))) for n in range(3)])
    assert verdict.conclusion == TOO_FEW
    assert verdict.more > 100
    assert f"{verdict.more} more" in verdict.sentences()[0]
    assert "assuming" in verdict.sentences()[2]


def test_many_who_guess_find_no_difference(tmp_path: Path) -> None:
    page = write(tmp_path, some_items(60, checks=5))
    verdict = score(page, [judge(page, n, guesses(random.Random(n))) for n in range(14)])
    assert verdict.conclusion == ALIKE
    low, high = verdict.overall.interval_95
    assert 0.4 < low < 0.5 < high < 0.6
    assert verdict.overall.answers == 14 * 60
    assert verdict.left_out == 0


@pytest.mark.parametrize("judges", [1, 2, 6])
def test_who_knows_tells_apart(tmp_path: Path, judges: int) -> None:
    page = write(tmp_path, some_items(40))
    verdict = score(page, [judge(page, n, knows) for n in range(judges)])
    assert (verdict.conclusion, verdict.overall.accuracy) == (APART, 1)
    assert verdict.overall.interval_95[0] < 1
    wrong = score(page, [judge(page, n, errs) for n in range(judges)])
    assert (wrong.conclusion, wrong.overall.accuracy) == (APART, 0)
    assert "wrong way round" in wrong.sentences()[0]


def test_one_sharp_judge_does_not_speak_for_all(tmp_path: Path) -> None:
    """Of five judges one knows all: 60 % of answers are right, and that may be that one judge."""
    page = write(tmp_path, some_items(60))
    results = [judge(page, n, guesses(random.Random(n))) for n in range(4)]
    verdict = score(page, [*results, judge(page, 9, knows)])
    assert verdict.overall.design_effect > 4
    assert verdict.conclusion == TOO_FEW


def test_the_inattentive_are_left_out_and_counted(tmp_path: Path) -> None:
    page = write(tmp_path, some_items(20, checks=10))
    key = blind_test.read_key(page.with_suffix(".key.json"))

    def misses(count: int) -> Choose:
        missed = sorted(key.checks)[:count]
        return lambda asked, truth: (errs if asked["id"] in missed else knows)(asked, truth)

    results = [judge(page, 0, misses(3)), judge(page, 1, misses(4)), judge(page, 2, errs)]
    verdict = score(page, results)
    assert [one.is_attentive for one in verdict.judges] == [True, False, False]
    assert [one.checks_right for one in verdict.judges] == [7, 6, 0]
    assert (verdict.overall.answers, verdict.overall.accuracy, verdict.left_out) == (20, 1, 2)
    assert "Left out, as they missed the attention checks: 2." in verdict.sentences()
    nobody = score(page, results[1:])
    assert (nobody.conclusion, nobody.more, nobody.overall.answers) == (TOO_FEW, 215, 0)
    assert nobody.sentences() and json.dumps(nobody.facts(), allow_nan=False)


def test_who_met_no_check_has_not_shown_attention(tmp_path: Path) -> None:
    page = write(tmp_path, some_items(20, checks=1))
    key = blind_test.read_key(page.with_suffix(".key.json"))
    before = int(next(iter(key.checks))) - 1
    verdict = score(page, [judge(page, 0, knows, upto=before)])
    assert verdict.left_out == 1


def test_newest_complete_result_of_a_judge_counts(tmp_path: Path) -> None:
    page = write(tmp_path, some_items(10))
    complete = judge(page, 0, knows, finished=5)
    older = judge(page, 0, errs, finished=4)
    partial = judge(page, 0, errs, upto=5, finished=9)
    for results in ([complete, older, partial], [partial, complete, older]):
        verdict = score(page, results)
        assert (verdict.overall.right, verdict.overall.answers) == (10, 10)
        assert len(verdict.judges) == 1
    assert score(page, [partial]).overall.answers == 5


def test_groups_are_told_apart(tmp_path: Path) -> None:
    page = write(tmp_path, some_items(10))
    results = [
        judge(page, 0, knows, group="member"),
        judge(page, 1, errs, group="stranger"),
        judge(page, 2, errs, group="stranger"),
    ]
    groups = score(page, results).groups
    assert list(groups) == ["member", "stranger"]
    assert [(share.accuracy, share.judges) for share in groups.values()] == [(1, 1), (0, 2)]


def test_form_compares_marks_and_accusations(tmp_path: Path) -> None:
    page = write(tmp_path, some_items(20, checks=4), FORM)
    verdict = score(page, [judge(page, n, lambda asked, truth: "bot") for n in range(2)])
    assert verdict.called_bot == (1, 1)
    assert verdict.overall.accuracy == 0.5
    assert verdict.ratings["Appropriateness"] == (5, 5)
    assert any(said.startswith("Length: 1.0 of 5") for said in verdict.sentences())
    assert any("100 % of its replies" in said for said in verdict.sentences())


def test_report_holds_no_words_of_judges(tmp_path: Path) -> None:
    page = write(tmp_path, some_items(3))
    result = judge(page, 0, knows)
    fields = json.loads(result.read_text("utf-8"))
    fields["answers"]["1"]["other"] = "sounds\x1b[2J like \u202e\ud83d my aunt"
    result.write_text(json.dumps(fields), "utf-8")
    verdict = score(page, [result])
    assert "aunt" not in json.dumps(verdict.facts())
    assert verdict.reasons == {"too long": (3, 3), "other": (1, 1)}
    said = "\n".join(verdict.sentences())
    assert "my aunt" in said
    assert said.encode("utf-8") and "\x1b" not in said and "\u202e" not in said


def test_a_result_pasted_into_an_editor_is_read(tmp_path: Path) -> None:
    page = write(tmp_path, some_items(3))
    result = judge(page, 0, knows)
    result.write_bytes(b"\xef\xbb\xbf\r\n " + result.read_bytes() + b"\r\n\r\n")
    assert score(page, [result]).overall.answers == 3


def _broken(**fields: Any) -> str:
    whole = {"page": "PAGE", "judge": "judge000", "group": "member", "finished": 1, "answers": {}}
    return json.dumps({**whole, **fields})


GARBAGE = ["", "hello", "[]", "null", "7", "{", "{}", "[" * 100_000, "9" * 10_000, "\ud83d" * 9]
WRONG: dict[str, list[Any]] = {
    "page": ["", "0" * 16, None, ["PAGE"]],
    "judge": ["", "x" * 99, "\x1b[2Jabcdef", 7, None, [], {}],
    "group": ["bot", "", None, []],
    "finished": ["now", None, True, []],
    "answers": [None, [], [1], "x", 3, {"99": {"choice": "A"}}, {"1": 7}, {"1": {}}],
}
WRONG_ANSWER: dict[str, list[Any]] = {
    "choice": ["C", ["A"], "bot", None],
    "reasons": ["too long", [[]], ["x"], 3, None],
    "other": ["x" * 201, 3, None, []],
    "ratings": [[5] * 5, [True], "55555", 4],
}
GARBAGE += [_broken(**{name: value}) for name, values in WRONG.items() for value in values]
GARBAGE += [
    _broken(answers={"1": {"choice": "A", name: value}})
    for name, values in WRONG_ANSWER.items()
    for value in values
]


@pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused_by_name(tmp_path: Path, text: str) -> None:
    page = write(tmp_path, some_items(3))
    result = tmp_path / "from-sam.json"
    text = text.replace("PAGE", _Page(page).test["page"])
    result.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match=r"from-sam\.json"):
        score(page, [judge(page, 0, knows), result])


@pytest.mark.parametrize("marks", [[1] * 4, [0] * 5, [6] * 5, [True] * 5, [1.0] * 5, None, "12345"])
def test_impossible_marks_are_refused(tmp_path: Path, marks: object) -> None:
    page = write(tmp_path, some_items(3), FORM)
    result = judge(page, 0, knows, answers={"1": {"choice": "bot", "ratings": marks}})
    with pytest.raises(UserError, match=result.name):
        score(page, [result])


def test_result_of_another_page_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    page, other = write(tmp_path, some_items(3)), write(tmp_path / "other", some_items(4))
    with pytest.raises(UserError, match=r"result0\.json is no result of this page"):
        score(page, [judge(other, 0, knows)])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"page": "x", "kind": "pairs", "answers": 3}',
     '{"page": "x", "kind": "pairs", "answers": {"1": {"answer": "bot", "is_check": false}}}',
     '{"page": "x", "kind": "quiz", "answers": {}}', '{"page": "x", "kind": [], "answers": {}}'],
)  # fmt: skip
def test_a_damaged_key_is_named(tmp_path: Path, text: str) -> None:
    key = tmp_path / "lost.key.json"
    with pytest.raises(UserError, match=r"Cannot read .*lost\.key\.json"):
        blind_verdict.score(key, [])
    key.write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"lost\.key\.json"):
        blind_verdict.score(key, [])


def test_needed_judgments_are_those_of_the_formula(tmp_path: Path) -> None:
    """One answer by each of four judges, two of them right: every answer stands alone."""
    page = write(tmp_path, some_items(1))
    results = [judge(page, n, (knows, errs)[n % 2]) for n in range(4)]
    verdict = score(page, results)
    assert (verdict.overall.design_effect, verdict.more) == (1, 215 - 4)

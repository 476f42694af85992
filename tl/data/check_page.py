"""A report of `tl.data.check` as one HTML file: no script, no link, thumbnails inside."""

from collections.abc import Callable, Iterator
from html import escape
from itertools import groupby

from tl.data.answers import answer_words
from tl.data.check import CheckReport
from tl.data.findings.finding import KINDS, Finding, printable
from tl.data.thumbnail import thumbnail
from tl.words import counted

THUMBNAIL = 112
FINDINGS_A_KIND = 60
PICTURES_A_FINDING = 8
PICTURES = 600
"""In all: at 4 KB each, 3 MB."""

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --bad: #c0362c; --odd: #a06a00; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --odd: #f5c26b; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
td, th { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.error { color: var(--bad); font-weight: 600; } .warning { color: var(--odd); font-weight: 600; }
article { padding: .6rem 0; border-bottom: 1px solid var(--soft); }
p { margin: .2rem 0; overflow-wrap: anywhere; }
.row { display: flex; flex-wrap: wrap; gap: .6rem; }
figure { margin: .3rem 0; width: 9rem; }
figure div { height: 7rem; display: grid; place-items: center; background: var(--soft); }
img { max-width: 100%; max-height: 7rem; }
figcaption { font-size: .75rem; overflow-wrap: anywhere; opacity: .85; }
"""


def check_page(report: CheckReport, max_pixels: int) -> str:
    """Return the page.

    Args:
        report: what was found.
        max_pixels: larger pictures are not decoded for the page either.
    """
    places = {key: place for place, key in enumerate(report.dataset.keys)}
    answers = report.dataset.answers()
    budget = [PICTURES]

    def image(key: str) -> str | None:
        if key not in places or budget[0] == 0:
            return None
        budget[0] -= 1
        source = thumbnail(report.dataset[places[key]], max_pixels, THUMBNAIL)
        return f'<img alt="" src="{source}">' if source else None

    def label(key: str) -> str:
        if key not in places:
            return ""
        return answers[places[key]]

    title = f"{_text(report.dataset.name)}: what is wrong with it"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            # Whatever a name holds: nothing is run and nothing is fetched.
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            f"<h1>{_text(report.dataset.name)}</h1>",
            f"<p>{counted(len(report.dataset), 'picture')} "
            f"{_text(answer_words(report.dataset))}: "
            f'<span class="error">{counted(report.count("error"), "error")}</span>, '
            f'<span class="warning">{counted(report.count("warning"), "warning")}</span></p>',
            *_summary(report),
            *_sections(report, image, label),
            "</body>\n</html>\n",
        ]
    )


def _summary(report: CheckReport) -> Iterator[str]:
    yield '<div class="scroll"><table>'
    for kind, found in groupby(report.findings, lambda one: one.kind):
        severity, what = KINDS[kind]
        yield (
            f'<tr><td class="{severity}">{severity}</td><td class="n">{len(list(found)):,}</td>'
            f'<td><a href="#{kind}">{what}</a></td></tr>'
        )
    yield "</table></div>"
    if not report.findings:
        yield "<p>Nothing was found.</p>"


def _sections(
    report: CheckReport, image: Callable[[str], str | None], label: Callable[[str], str]
) -> Iterator[str]:
    for kind, group in groupby(report.findings, lambda one: one.kind):
        found = list(group)
        shown = found[:FINDINGS_A_KIND]
        severity, what = KINDS[kind]
        yield f'<section id="{kind}"><h2><span class="{severity}">{severity}</span> {what}</h2>'
        cards = []
        for one in shown:
            if len(one.keys) > 1:
                yield _article(one, image, label)
            elif one.keys and (picture := image(one.keys[0])):
                cards.append(_figure(picture, one.message))
            else:
                yield f"<p>{_text(one.message)}</p>"
        if cards:
            yield f'<div class="row">{"".join(cards)}</div>'
        if len(found) > len(shown):
            yield (
                f"<p>... and {len(found) - len(shown):,} more; "
                "<code>tl check --json</code> lists them all.</p>"
            )
        yield "</section>"


def _article(
    finding: Finding, image: Callable[[str], str | None], label: Callable[[str], str]
) -> str:
    figures = "".join(
        _figure(image(key) or "no picture", f"{key} ({label(key)})" if label(key) else key)
        for key in finding.keys[:PICTURES_A_FINDING]
    )
    return f'<article><p>{_text(finding.message)}</p><div class="row">{figures}</div></article>'


def _figure(image: str, caption: str) -> str:
    return f"<figure><div>{image}</div><figcaption>{_text(caption)}</figcaption></figure>"


def _text(text: str) -> str:
    return escape(printable(text))

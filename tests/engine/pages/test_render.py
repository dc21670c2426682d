"""Whatever is put into a template is words, and a page needs nothing else."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.pages.drawing import Drawing
from neurosono.engine.pages.figure import draw_figure
from neurosono.engine.pages.render import render_page
from tests.support.pages import EVIL, Page, assert_harmless


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "own.html"
    path.write_text(
        '{% extends "base.html" %}{% from "macros.html" import facts, notice, svg, table %}'
        "{% block title %}{{ word }}{% endblock %}"
        "{% block body %}{{ notice(word) }}{{ facts({word: word}) }}"
        "{{ table([word], [[word, word]]) }}{{ svg(drawn) }}{{ figure }}{% endblock %}"
    )
    return path


def drawing() -> Drawing:
    drawn = Drawing(EVIL, 100, 50, legend=[(EVIL, EVIL)])
    drawn.add_text(1, 2, EVIL, "end", fill=EVIL)
    drawn.add_box(0, 0, 1 / 3, 4, "#123456", hint=EVIL, stroke_width=1.5)
    drawn.add_curve([(0, 1 / 3), (2, 1)], "#000")
    return drawn


def test_what_is_put_in_is_words_wherever_it_stands(template: Path) -> None:
    figure = draw_figure(lambda figure: figure.text(0, 0, EVIL), EVIL, (1.0, 1.0))
    text = render_page(template, word=EVIL, drawn=drawing(), figure=figure)
    # title, notice, two facts, head and two cells, a text, a hint, a legend, the figure's text
    assert assert_harmless(text) == 1 + 1 + 2 + 3 + 3 + 1
    assert '<rect x="0" y="0" width="0.33" height="4" fill="#123456" stroke-width="1.5">' in text
    assert 'points="0.0,0.3 2.0,1.0"' in text


def test_a_page_loads_nothing_and_says_so(template: Path) -> None:
    text = render_page(template, word="x", drawn=drawing(), figure="")
    page = Page(text)
    assert NOTICE in page.words
    assert page.sources == []
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in text


def test_a_word_that_is_missing_is_an_error(template: Path) -> None:
    with pytest.raises(UndefinedError, match="'word' is undefined"):
        render_page(template, drawn=drawing(), figure="")

"""Templates show the question once, images stay in their places, and foreign text runs nothing."""

from __future__ import annotations

import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import UserError
from sightline.tasks.rows.prompts import MARKER, PLACE, PromptTemplate, chat, load_template, pieces

INSTRUCTION = (
    "You first think through the reasoning process as an internal monologue, enclosed within <think> "
    "</think> tags. Then, provide your final answer enclosed within \\boxed{}."
)


def written(template: str, tmp_path, question: str = "Why?", images: int = 1) -> list[dict]:
    file = tmp_path / "t.jinja"
    file.write_text(template, encoding="utf-8")
    around, _ = pieces(question, images)
    return chat(load_template(str(file)).render(around), None)[0]["content"]


def test_the_papers_prompt_is_the_default():
    around, _ = pieces("<image>Find x.", 1)
    assert chat(load_template(None).render(around), None) == [
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": f"Find x.\n\n{INSTRUCTION}"}],
        }
    ]
    assert load_template("plain").render(around) == ["", "Find x."]


def test_choices_are_listed_by_letter():
    assert (
        load_template("plain").render(["", "Which?"], ["3", "x^2"])[1] == "Which?\n\nChoices:\nA. 3\nB. x^2"
    )
    assert INSTRUCTION in load_template("papers").render(["", "Which?"], ["3"])[1]


def test_a_system_prompt_is_a_turn_of_its_own():
    assert chat(["hi"], "Look closely.")[0] == {
        "role": "system",
        "content": [{"type": "text", "text": "Look closely."}],
    }
    assert [turn["role"] for turn in chat(["hi"], "")] == ["user"]


@pytest.mark.parametrize(
    ("question", "images", "content"),
    [
        ("a<image>b<image>c", 2, ["a", None, "b", None, "c"]),
        ("abc", 2, [None, None, "abc"]),
        ("abc", 0, ["abc"]),
        ("<image>a<image>", 2, [None, "a", None]),
        ("a<image>b", 3, ["a", None, None, None, "b"]),
        ("<image><image>a", 2, [None, None, "a"]),
        ("a<image>b<image>c", 1, ["a", None, "b<image>c"]),
    ],
)
def test_images_stand_where_the_markers_are(question, images, content):
    around, markers = pieces(question, images)
    parts = chat(around, None)[0]["content"]
    assert [part.get("text") for part in parts] == content
    assert markers == question.count(MARKER)


@given(st.text(), st.integers(0, 4))
def test_no_text_makes_or_hides_an_image(question, images):
    around, markers = pieces(question, images)
    shown = load_template(None).render(around)
    assert sum(part["type"] == "image" for part in chat(shown, None)[0]["content"]) == images
    if markers <= images:
        assert "".join(around) == question.replace(PLACE, "").replace(MARKER, "")


def test_a_question_is_never_read_as_a_template():
    hostile = "{{ 7 * 7 }}{% for a in 'ab' %}x{% endfor %}{{ question.__class__ }}"
    assert load_template("plain").render(["", hostile]) == ["", hostile]
    assert load_template("plain").render(["", "Which?"], [hostile])[1].endswith(f"A. {hostile}")


def test_a_file_is_a_template_and_content_is_the_question(tmp_path):
    content = written("Look.\n{{ content | trim }}\nAnswer in one word.", tmp_path, "<image>Who?")
    assert [part.get("text") for part in content] == ["Look.\n", None, "Who?\nAnswer in one word."]


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ("{{ question.__class__.__mro__ }}{{ question }}", "fails"),
        ("{{ question }}{{ ''.__class__ }}", "fails"),
        ("{{ question }}{{ cycler.__init__.__globals__ }}", "variable"),
        ("{{ question }}{{ lipsum() }}", "Call"),
        ("{{ question }}{{ question.upper() }}", "Call"),
        ("{{ question }}{{ '%999999999d' % 1 }}", "Mod"),
        ("{{ question }}{{ 'a' * 999999999 }}", "Mul"),
        ("{{ question }}{{ 9 ** 9 ** 9 }}", "Pow"),
        ("{{ question }}{% include '/etc/passwd' %}", "Include"),
        ("{% extends 'layout.html' %}", "Extends"),
        ("{% import 'x' as y %}{{ question }}", "Import"),
        ("{{ question }}{% for a in question %}{% for b in question %}{% endfor %}{% endfor %}", "For"),
        ("{{ question }}{{ question | attr('__class__') }}", "filter"),
        ("{{ question }}{{ question | format }}", "filter"),
        ("{{ question }}{{ anser }}", "variable"),
        ("{{ question }", "valid"),
        ("no question here", "exactly once"),
        ("{{ question }}{{ question }}", "exactly once"),
    ],
)
def test_templates_that_reach_out_or_lose_the_question_are_refused_at_once(template, word, tmp_path):
    started = time.monotonic()
    with pytest.raises(UserError, match=word) as refused:
        written(template, tmp_path)
    assert time.monotonic() - started < 5
    assert "\n" not in str(refused.value)


def test_a_template_cannot_fill_the_memory(tmp_path):
    with pytest.raises(UserError, match="more than"):
        written(
            "{{ question }}{% for a in question %}" + "y" * 100 + "{% endfor %}", tmp_path, "x" * 20_000, 0
        )


TEN = "aaaaaaaaaa"


@pytest.mark.parametrize(
    ("template", "word"),
    [
        (f"{{{{ question }}}}{{{{ '{TEN}'" + f" | replace('a', '{TEN}')" * 10 + " }}", "replace"),
        ("{{ question }}" + "{% set x = (x or question) | replace('e', question) %}" * 40, "Assign"),
        ("{{ question }}{% set x %}{{ question }}{% endset %}", "AssignBlock"),
        ("{{ question }}{% with x = question %}{{ x }}{% endwith %}", "With"),
        ("{{ question }}{{ [question, question] | join }}", "List"),
        ("{{ question }}{{ [question, question] }}", "List"),
        ("{{ question }}{{ (question, 1) }}", "Tuple"),
        ("{{ question }}{{ {'a': question} }}", "Dict"),
        ("{{ question }}{{ choices | join }}", "join"),
        ("{{ question }}{{ question ~ question }}", "Concat"),
        ("{{ question }}{{ question + question }}", "Add"),
        ("{% filter upper %}{% for a in question %}aaaa{% endfor %}{% endfilter %}", "FilterBlock"),
        ("{{ question }}{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}", "valid"),
        ("{{ question }}" + "{% if images %}" * 120 + "{% endif %}" * 120, "valid"),
    ],
)
def test_no_value_can_grow_before_it_is_counted(template, word, tmp_path):
    with pytest.raises(UserError, match=word) as refused:
        written(template, tmp_path)
    assert "\n" not in str(refused.value)


def test_a_list_of_constants_may_be_asked(tmp_path):
    shown = written("{{ question }}{% if images in [1, 2] %} Look.{% endif %}", tmp_path)
    assert shown[-1]["text"] == "Why? Look."


def test_unknown_templates_are_named_with_the_known_ones(tmp_path):
    with pytest.raises(UserError, match=r"did you mean papers\?.*\.jinja"):
        load_template("paper")
    with pytest.raises(UserError, match="cannot be read"):
        load_template(str(tmp_path / "none.jinja"))


def test_a_template_can_be_sent_to_another_process():
    template = load_template(None)
    assert pickle.loads(pickle.dumps(template)).render(["a"]) == template.render(["a"])
    assert isinstance(template, PromptTemplate)

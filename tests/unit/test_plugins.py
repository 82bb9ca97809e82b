"""Rules from a user's own files and packages, and the page that shows how."""

import importlib.metadata
import re
from pathlib import Path

import pytest
import torch
import yaml
from tiny_models import build, prompts, rollouts

from sightline.engines.trl.settings.resolve import parse
from sightline.errors import UserError
from sightline.methods import load_plugins, method, plugins
from sightline.methods.plugins import TABLES
from sightline.models.scoring.score import score
from sightline.shaping import SHAPINGS
from sightline.signals import SIGNALS, jensen_shannon

PAGE = (Path(__file__).parents[2] / "docs" / "methods" / "your-own.md").read_text()
CODE = re.search(r"<!-- test: plugin -->\n```python\n(.*?)```", PAGE, re.DOTALL)[1]
YAML = re.search(r"<!-- test: yaml of the plugin -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.fixture(autouse=True)
def tables():
    """The tables as they were."""
    before = {kind: dict(table) for kind, table in TABLES.items()}
    yield
    for kind, table in TABLES.items():
        table.clear()
        table.update(before[kind])


def written(folder, text, name="my_rules.py"):
    path = folder / name
    path.write_text(text)
    return str(path)


def test_the_page_s_example_trains_as_it_stands(tmp_path):
    config = yaml.safe_load(YAML) | {"plugins": written(tmp_path, CODE), "output_dir": str(tmp_path / "run")}
    file = written(tmp_path, yaml.safe_dump(config), "mine.yaml")
    chosen = parse(["--config", file, "--model", "embedded", "--use_cpu", "--bf16", "false"])
    assert chosen.method.signals == ("total_variation",)
    assert chosen.method.reads == {"progress"}
    assert chosen.as_dict()["plugins"] == config["plugins"]
    model, processor = build("qwen2_5_vl")
    batch = rollouts(model, processor, prompts(), group=2)
    found = score(model, processor, batch, chosen.method.needs, seed=0, step=0)
    values = found.signals["total_variation"]
    assert 0 < values.max() <= 1
    weights = chosen.method.weights(found.signals, batch.mask, batch.group_ids, batch.has_image, progress=0.0)
    torch.testing.assert_close(weights, batch.mask.float())
    later = chosen.method.weights(found.signals, batch.mask, batch.group_ids, batch.has_image, progress=1.0)
    assert (later >= weights).all() and later.max() > 1


def test_the_flag_loads_too_and_a_file_loads_once(tmp_path):
    path = written(
        tmp_path, "from sightline.shaping import SHAPINGS, Rule\nSHAPINGS['own'] = Rule(lambda s, m: m)"
    )
    flags = ["--method", "custom", "--method_options", "{signal: entropy, shapings: [own]}"]
    run = ["--model", "embedded", "--use_cpu", "--bf16", "false", "--output_dir", str(tmp_path / "run")]
    assert parse([*flags, *run, "--plugins", path]).method.shapings[0].name == "own"
    rule = SHAPINGS["own"]
    assert load_plugins([path, path]) == [path, path]
    assert SHAPINGS["own"] is rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x = 1\nimport no_such_module",
            r"cannot be imported: .*rules.py, line 2: ModuleNotFoundError: No module",
        ),
        ("def f(:", r"cannot be imported: .*rules.py, line 1: SyntaxError"),
        (
            "from sightline.shaping import SHAPINGS\nSHAPINGS['top_fraction'] = None",
            "replaces the shaping top_fraction",
        ),
        ("from sightline.signals import SIGNALS\ndel SIGNALS['entropy']", "replaces the signal entropy"),
        (
            "from sightline.signals import *\nSIGNALS['a'] = Signal('a', True, 'words', 0, 1, formula=abs)",
            "signal a reads",
        ),
        ("raise SystemExit(3)", "line 1: SystemExit: 3"),
    ],
)
def test_a_plugin_that_does_not_load_is_named_and_leaves_nothing(tmp_path, text, message):
    before = {kind: dict(table) for kind, table in TABLES.items()}
    with pytest.raises(UserError, match=message):
        load_plugins(written(tmp_path, text, f"rules{abs(hash(text))}rules.py"))
    assert before == {kind: dict(table) for kind, table in TABLES.items()}


def test_a_file_or_a_module_that_is_not_there():
    with pytest.raises(UserError, match=r"plugin missing.py cannot be imported: .*there is no file"):
        load_plugins("missing.py")
    with pytest.raises(UserError, match=r"plugin no_such\.rules cannot be imported: .*No module named"):
        load_plugins("no_such.rules")
    with pytest.raises(UserError, match="plugins must be module names or files"):
        load_plugins(3)


def test_installed_packages_load_before_the_first_method(monkeypatch):
    def points(group):
        assert group == "sightline.plugins"
        return [importlib.metadata.EntryPoint("mine", "test_plugins:added", group)]

    loaded = []
    monkeypatch.setattr(plugins, "entry_points", points)
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda point: loaded.append(point.value))
    plugins.load_installed.cache_clear()
    method("grpo"), method("vgpo")
    assert loaded == ["test_plugins:added"]
    plugins.load_installed.cache_clear()


def test_a_signal_of_every_kind_runs_from_its_row(monkeypatch):
    from sightline.signals import Signal, image_state, visual_focus

    def js(first, second):
        return jensen_shannon(first.log_probs(), second.log_probs())

    mine = {
        "sampled": Signal("sampled", True, "log_probs", -99, 99, formula=lambda p, q: p - q),
        "whole": Signal(
            "whole",
            True,
            "distribution",
            0,
            1,
            formula=js,
        ),
        "focus": Signal("focus", False, "hidden", -1, 1, formula=visual_focus, image=image_state),
    }
    for name, row in mine.items():
        monkeypatch.setitem(SIGNALS, name, row)
    model, processor = build("qwen2_5_vl")
    batch = rollouts(model, processor, prompts(), group=2)
    read = (*mine, "jensen_shannon", "visual_focus")
    built = method(
        "custom",
        view="black",
        shapings=[{"name": "saturated", "level": 1.0, "signal": name} for name in read],
    )
    found = score(model, processor, batch, built.needs, seed=0, step=0)
    torch.testing.assert_close(found.signals["whole"], found.signals["jensen_shannon"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.signals["focus"], found.signals["visual_focus"])
    difference = found.log_probs - found.other_log_probs
    torch.testing.assert_close(found.signals["sampled"], difference * torch.tensor(batch.has_image)[:, None])

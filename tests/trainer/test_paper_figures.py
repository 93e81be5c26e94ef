"""The paper's figures: SVG that parses, with the numbers that were measured."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asma_edge.extras import ExtraMissingError
from asma_edge.skeleton import get_layout
from asma_trainer.cli.train import main
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import DataError, RecipeError
from asma_trainer.evaluation.results import Results
from asma_trainer.pages.figure import Bar, bars, figure, key, lines, scatter, skeleton
from asma_trainer.paper import embedding, figures, tables
from asma_trainer.paper.figures import draw, draw_curves, joint_motion
from asma_trainer.paper.make import Order
from asma_trainer.recipe.recipe import Recipe

SVG = "{http://www.w3.org/2000/svg}"
SHORT = [
    "pretrain.steps=2", "pretrain.warmup=0", "finetune.steps=2", "align.steps=2", "distill.steps=2",
    "evaluate.probe_steps=30", 'data.sampling="clip"', 'student.kind="paper"', 'streams=["bone"]', "fusion=[1.0]",
]  # fmt: skip


@pytest.fixture(scope="module")
def order(
    waves: PreparedDataset, tiny_recipe: Callable[..., Recipe], tmp_path_factory: pytest.TempPathFactory
) -> Order:
    """Figures of seconds, in one folder, so that they share their runs."""
    path = tmp_path_factory.mktemp("figures") / "tiny.toml"
    path.write_text(tiny_recipe(*SHORT).to_toml(), encoding="utf-8")
    return Order(waves, path, path.parent / "out")


def texts(path: Path) -> list[str]:
    """What stands in a figure."""
    return [element.text or "" for element in ET.parse(path).iter(f"{SVG}text")]


def hints(path: Path) -> dict[str, str]:
    """{name of a bar: its value}, from the tooltips of the rectangles."""
    found = [rect.find(f"{SVG}title") for rect in ET.parse(path).iter(f"{SVG}rect")]
    return dict(hint.text.rsplit(": ", 1) for hint in found if hint is not None and hint.text)  # type: ignore[misc]


def test_panels_are_xml_whatever_their_names() -> None:
    name = '<b> & "it" \x00\x1b \x9f ü'
    layout = get_layout("coco17")
    place = np.random.default_rng(0).normal(size=(17, 2))
    panels = [
        bars(name, [Bar(name, 0.5, 3, 0.25), Bar(name, -0.5)]),
        lines(name, name, {name: [(1.0, 50.0), (2.0, 75.0)]}),
        scatter(name, place, list(range(17))),
        key([name, "b"]),
        skeleton(name, layout, place, layout.degrees.tolist(), False),
        bars("", []),
    ]
    root = ET.fromstring(figure(name, [panels, []]).encode())
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    assert width > sum(panel.width for panel in panels)
    assert height > max(panel.height for panel in panels)
    assert "�" in (root.find(f"{SVG}title").text or "")  # type: ignore[union-attr]
    assert len(list(root.iter(f"{SVG}circle"))) == 2 + 17 + 17


def test_bars_are_as_long_as_their_values() -> None:
    several = [Bar("a", 0.25), Bar("b", -0.5), Bar("c", 1.0, mark=0.5)]
    root = ET.fromstring(figure("x", [[bars("", several)]]))
    found = [rect.attrib for rect in root.iter(f"{SVG}rect") if "class" in rect.attrib]
    widths = [float(box["width"]) for box in found]
    np.testing.assert_allclose(np.array(widths) / widths[2], [0.25, 0.5, 1.0], atol=2e-3)
    zero = float(found[2]["x"])
    assert float(found[1]["x"]) + widths[1] == pytest.approx(zero, abs=0.2)
    (mark,) = [line for line in root.iter(f"{SVG}line") if line.attrib["class"] == "mark"]
    assert (float(mark.attrib["x1"]) - zero) / widths[2] == pytest.approx(0.5, abs=2e-3)


def test_motion_of_joints_that_move_evenly() -> None:
    speed = np.array([0.0, 0.1, 0.3])
    steps = np.arange(10)[:, None, None] * speed[:, None] * np.array([0.6, 0.0, 0.8])
    np.testing.assert_allclose(joint_motion([steps, 3 * steps]), 2 * speed, atol=1e-12)


def test_figure_1_shows_degrees_and_motion(order: Order) -> None:
    path = draw(order, "1")
    layout = order.dataset.info.layout
    said = texts(path)
    assert [f"degree {degree}" for degree in (1, 2, 3, 4)] == [text for text in said if text.startswith("degree")]
    assert sum(text.startswith(("slow", "left", "right")) and "motion a frame" in text for text in said) == 3
    assert len(list(ET.parse(path).iter(f"{SVG}circle"))) == layout.num_joints
    assert sum(rect.attrib.get("x") == "0" for rect in ET.parse(path).iter(f"{SVG}rect")) == 4  # the key
    moved = {name: float(value) for name, value in hints(path).items()}
    assert len(moved) == layout.num_joints
    # The last class moves every fourth joint, with them the centre, number 21; seen from there the others move.
    assert moved["6 left_elbow"] > 10 * moved["5 left_shoulder"]


def test_figure_3_shows_table_9(order: Order) -> None:
    path = draw(order, "3")
    found = Results.load(order.out / "masks-asymmetric" / "seed-0" / "evaluate").accuracy
    value = {row.stage: row.fused for row in found}
    assert hints(path)["High-Degree, Low-Motion"] == f"{100 * value['linear hdlm']:.1f}"  # type: ignore[operator]
    assert hints(path)["Low-Degree, High-Motion"] == f"{100 * value['linear ldhm']:.1f}"  # type: ignore[operator]
    assert len(hints(path)) == sum(line.attrib["class"] == "mark" for line in ET.parse(path).iter(f"{SVG}line")) == 5
    assert "75.84" in (order.out / "figure-3.md").read_text(encoding="utf-8")
    assert not (order.out / "table-9.md").exists()  # which may be of more seeds


def test_figure_4_shows_students(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "TEMPERATURES", (2.0, 8.0))
    monkeypatch.setattr(tables, "DEPTHS", (2, 3))
    path = draw(order, "4")
    said = texts(path)
    for setting in ("tau-2", "tau-8", "depth-2", "depth-3"):
        rows = Results.load(order.out / f"asma-finetune-distill-{setting}" / "seed-0" / "evaluate").accuracy
        (value,) = [row.streams["bone"] for row in rows if row.stage == "student"]
        assert f"{100 * value:.1f}" in said
    assert {"Temperature", "Depth of the student", "τ", "layers"} <= set(said)


def test_figure_6_adds_up_to_the_difference_of_the_encoders(order: Order) -> None:
    differences = {name: float(value) / 100 for name, value in hints(draw(order, "6")).items()}
    rows = Results.load(order.out / "asma-linear" / "seed-0" / "evaluate").accuracy
    value = {row.stage: row.class_mean for row in rows}
    total = value["linear ldhm"] - value["linear hdlm"]  # type: ignore[operator]
    assert set(differences) == set(order.dataset.info.classes)
    assert np.mean(list(differences.values())) == pytest.approx(total, abs=1e-3)


@pytest.mark.parametrize(("number", "panels"), [("5", 4), ("7", 8)])
def test_figures_5_and_7_show_every_test_clip_of_their_classes(
    order: Order, number: str, panels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    monkeypatch.setattr(figures, "require_tsne", lambda: None)
    monkeypatch.setattr(figures, "in_the_plane", lambda features, _seed: (seen.append(features), features[:, :2])[1])
    path = draw(order, number)
    clips = len(order.dataset.split("test"))  # there are but three classes
    assert len(list(ET.parse(path).iter(f"{SVG}circle"))) == panels * clips
    assert {features.shape for features in seen} == {(clips, 8)}  # teacher and student are 8 wide
    assert len(seen) == panels
    names = ["teacher, fine-tuned", "student, fine-tuned", "teacher, linear-probed", "student, linear-probed"]
    assert [text for text in texts(path) if text in names] == names * (panels // 4)


def test_without_scikit_learn_nothing_is_trained(order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ExtraMissingError, match=r"asma-edge\[figures\]"):
        draw(Order(order.dataset, order.recipe, tmp_path / "out"), "5")
    assert not (tmp_path / "out").exists()


def test_neighbours_stay_neighbours_in_the_plane() -> None:
    pytest.importorskip("sklearn.manifold")
    random = np.random.default_rng(0)
    label = np.arange(60) % 3
    features = (random.normal(size=(60, 16)) + 20 * np.eye(16)[label]).astype(np.float32)
    place = embedding.in_the_plane(features, 0)
    distance = np.linalg.norm(place[:, None] - place, axis=2) + 1e9 * np.eye(60)
    assert (label[distance.argmin(axis=1)] == label).all()
    np.testing.assert_array_equal(place, embedding.in_the_plane(features, 0))


def test_training_curves_as_a_file(trained: Path, tmp_path: Path) -> None:
    draw_curves(trained, tmp_path / "curves.svg")
    said = texts(tmp_path / "curves.svg")
    stages = ["pretrain", "finetune", "align", "distill", "baseline"]
    assert [text for text in said if re.fullmatch(r"\w+: loss( \(log scale\))?", text)] == [
        f"{s}: loss" for s in stages
    ]
    assert any(text.startswith("joint: ") for text in said)
    with pytest.raises(DataError, match="no training curves"):
        draw_curves(tmp_path, tmp_path / "none.svg")


def test_the_commands(order: Order, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--data", str(order.dataset.path), "--recipe", str(order.recipe), "--out", str(tmp_path)]
    assert main(["figure", "1", *command, "--json"]) == 0
    assert "figure-1.svg" in capsys.readouterr().out
    assert main(["figure", "6", *command, "--dry-run"]) == 0
    assert "asma-linear (bone): pretrain 2, align 2, evaluate" in capsys.readouterr().out
    assert not (tmp_path / "asma-linear").exists()
    assert main(["curves", str(trained), "--out", str(tmp_path / "c.svg")]) == 0
    assert ET.parse(tmp_path / "c.svg").getroot().tag == f"{SVG}svg"
    assert main(["curves", str(tmp_path)]) == 2
    with pytest.raises(RecipeError, match="no figure 2"):
        draw(order, "2")

"""The paper's tables: every row can be trained, runs are shared and continued, figures are those of the runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asma_edge.skeleton import get_layout
from asma_trainer import sweep
from asma_trainer.cli.train import main
from asma_trainer.data.automatic import fit_recipe
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.errors import CheckpointError, RecipeError
from asma_trainer.evaluation.results import Results
from asma_trainer.methods.registry import check_method, method_of
from asma_trainer.networks import check_networks
from asma_trainer.paper.comparisons import ALL_TABLES
from asma_trainer.paper.definitions import Cell, Figures, Given, Plan, Setting, Table
from asma_trainer.paper.make import Order, changed_recipe, describe, make, plan
from asma_trainer.paper.show import as_json, markdown
from asma_trainer.paper.sizes import Size, size_of
from asma_trainer.paper.tables import SWEPT_FIGURES, TABLES, method
from asma_trainer.recipe.recipe import Recipe, load_recipe, read_recipe, recipe_names
from asma_trainer.recipe.values import automatic
from asma_trainer.run import Run

MakeOrder = Callable[..., Order]

CLIPS = 1020
SHORT = [
    "pretrain.steps=2", "pretrain.warmup=0", "finetune.steps=2", "align.steps=2", "distill.steps=2",
    "evaluate.probe_steps=3", "ms2l.width=8", "ms2l.contrast_width=8", 'data.sampling="clip"', 'student.kind="paper"',
]  # fmt: skip


@pytest.fixture
def order(waves: PreparedDataset, tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> MakeOrder:
    """make(*overrides, **more): what is asked of tables, by a recipe of seconds."""
    path = tmp_path / "tiny.toml"
    streams = 'streams=["joint", "bone"]', "fusion=[1.0, 1.0]"
    path.write_text(tiny_recipe(*SHORT, *streams).to_toml(), encoding="utf-8")

    def make(*overrides: str, **more: object) -> Order:
        return Order(waves, path, tmp_path / "out", overrides, **more)  # type: ignore[arg-type]

    return make


def all_tables(given: Given) -> Iterator[tuple[str, Table]]:
    for names, tables in (("table", ALL_TABLES), ("figure", SWEPT_FIGURES)):
        for number, define in tables.items():
            yield f"{names}-{number}", define(given)


def base_of(preset: str, waves: PreparedDataset) -> Recipe:
    """A preset; what it leaves to the data set as that data set decides it."""
    values = read_recipe(preset)
    return fit_recipe(waves, values)[0] if automatic(values) else load_recipe(preset)


def scored(recipe: Recipe) -> set[str]:
    """The rows that a run's results have, told from its stages alone."""
    names = method_of(recipe).encoder_names
    several = len(names) > 1
    rows = {
        "pretrain": [
            "untrained linear",
            "untrained linear 1-NN",
            "linear",
            "linear 1-NN",
            *([f"linear {name}{end}" for name in (*names, "average") for end in ("", " 1-NN")] if several else []),
        ],
        "finetune": [f"fine-tuned {name}" for name in names] if several else ["fine-tuned"],
        "align": ["teacher"],
        "distill": ["student"],
        "evaluate": [],
    }
    return {row for stage in recipe.stages for row in rows[stage]}


@pytest.mark.parametrize("preset", recipe_names())
def test_every_row_is_possible_with_every_recipe(preset: str, waves: PreparedDataset) -> None:
    given = Given(base_of(preset, waves), CLIPS, ("elsewhere",))
    refused = set()
    for name, table in all_tables(given):
        for setting in table.settings:
            try:
                recipe = changed_recipe(given.recipe, setting.overrides)
            except RecipeError:
                refused.add((name, setting.name))
                continue
            check_networks(recipe, method_of(recipe).encoder_names)
            check_method(recipe, CLIPS)
            cells = [cell for row in table.rows for cell in row.cells.values() if cell.setting is setting]
            assert {cell.stage for cell in cells} <= scored(recipe), (name, setting.name)
    # Seven blocks of a device student look at more frames than its windows have.
    device = given.recipe.student.kind == "device"
    assert refused == ({("figure-4", "asma-finetune-distill-depth-7")} if device else set())


@pytest.mark.parametrize("preset", recipe_names())
def test_tables_may_share_a_folder(preset: str, waves: PreparedDataset) -> None:
    settings: dict[str, Setting] = {}
    for _, table in all_tables(Given(base_of(preset, waves), CLIPS, ("elsewhere",))):
        assert len({row.name for row in table.rows}) == len(table.rows)
        assert {row.against for row in table.rows} <= {"", *(row.name for row in table.rows)}
        for row in table.rows:
            for cell in row.cells.values():
                assert cell.paper is None or 0 < cell.paper < 1
                known = settings.setdefault(cell.setting.name, cell.setting)
                assert (known.overrides, known.source) == (cell.setting.overrides, cell.setting.source)


def test_columns_stand_as_in_the_fullest_rows() -> None:
    tables = dict(all_tables(Given(load_recipe("paper-ntu60"), CLIPS, ("elsewhere",))))
    assert tables["table-1"].columns == tables["table-8"].columns == ["Lin.", "FT."]
    assert tables["table-6"].columns == ["from elsewhere", "from itself"]


def test_the_paper_s_own_recipe_gives_the_paper_s_settings() -> None:
    given = Given(load_recipe("paper-ntu60"), 40_091)
    linear = changed_recipe(given.recipe, TABLES["3"](given).settings[0].overrides)
    assert (linear.stages, linear.align.steps, linear.align.lr) == (("pretrain", "align", "evaluate"), 46950, 1e-3)
    counts = {
        (r.mask.joints, r.mask.frames)
        for s in TABLES["7"](given).settings
        for r in [changed_recipe(given.recipe, s.overrides)]
    }
    assert counts == {(n, 10) for n in range(7, 11)} | {(9, k) for k in range(7, 12)}
    queues = {changed_recipe(given.recipe, s.overrides).contrast.queue for s in TABLES["10"](given).settings}
    assert queues == {32768}
    features, logits, reverse = (changed_recipe(given.recipe, s.overrides) for s in TABLES["11"](given).settings)
    assert (features.distill.lr, features.distill.label_weight, features.distill.feature_weight) == (1e-3, 1.0, 1.0)
    assert (logits.distill.lr, logits.distill.label_weight, logits.distill.feature_weight) == (1e-2, 0.0, 0.0)
    assert (logits.distill.direction, reverse.distill.direction) == ("forward", "reverse")


@pytest.mark.parametrize("preset", recipe_names())
def test_methods_are_compared_at_one_budget(preset: str, waves: PreparedDataset) -> None:
    given = Given(base_of(preset, waves), CLIPS)
    table = ALL_TABLES["methods"](given)
    assert not table.of_paper
    recipes = [changed_recipe(given.recipe, setting.overrides) for setting in table.settings]
    seen = {r.pretrain.steps * r.pretrain.batch for r in recipes if "pretrain" in r.stages}
    (supervised,) = (r for r in recipes if "finetune" in r.stages)
    assert (len(recipes), len(seen)) == (6, 1)
    assert seen.pop() - supervised.finetune.batch < supervised.finetune.steps * supervised.finetune.batch
    assert {(r.encoder, r.pretrain.augment, r.streams) for r in recipes} == {
        (given.recipe.encoder, given.recipe.pretrain.augment, ("joint",))
    }
    plan_of = Plan("table-methods", table, (0,))
    assert "paper" not in markdown(plan_of, [Figures(table.rows[0], "test", {})])


def test_sizes_are_those_that_the_paper_s_settings_give() -> None:
    """Counted by hand from the layers: 186,497 parameters a student, 2,184,516 a teacher of 60 classes."""
    classes = tuple(map(str, range(60)))
    info, recipe = DatasetInfo(get_layout("ntu25"), 30.0, "metres", classes), load_recipe("paper-ntu60")
    student, teacher = (size_of(info, recipe, name, 2) for name in ("student", "teacher"))
    assert student is not None
    assert teacher is not None
    assert (student.parameters, teacher.parameters) == (3 * 186_497, 3 * 2_184_516)
    # Without the multiplication with the graph this is what the paper calls 1.26 G FLOPs.
    graph = 3 * 2 * 50 * 3 * 25**2 * (4 * 16 + 128)  # streams, people, frames, parts, joints squared, channels
    assert student.macs is not None
    assert student.macs - graph == pytest.approx(1.255e9, rel=1e-3)
    assert teacher.macs == pytest.approx(2 * 3 * 0.612e9, rel=1e-3)
    one = size_of(info, changed_recipe(recipe, method(Given(recipe, CLIPS), "pstl").overrides), "fine-tuned", 2)
    assert one is not None
    assert one.parameters == 3 * (821_380 + 60 * 257)
    other = size_of(info, load_recipe("paper-ntu60", ['encoder.backbone="gin"']), "teacher", 2)
    assert other is not None
    assert other.macs is None
    assert size_of(info, recipe, "linear", 2) is None


def test_table_1_says_how_large_networks_are(order: MakeOrder) -> None:
    planned = plan(order(), "1")
    rows = [
        Figures(row, "test", dict.fromkeys(row.cells, (0.5,)), Size(1.234e6, None if "PSTL" in row.name else 2e9))
        for row in planned.table.rows
    ]
    text = markdown(planned, rows)
    assert "| | split | Lin. | FT. | Params (M) | MACs (G) | paper, NTU-60 xsub |" in text
    assert "| 3s-ASMa-Distill | test |  | 50.0 | 1.234 | 2 | – / 91.7; 0.54, 1.26 |" in text
    assert "| 3s-PSTL | test | 50.0 | 50.0 | 1.234 |  | 79.1 / 87.1; 2.85, 3.45 |" in text
    assert "75.0 / –" in text
    assert as_json(planned, rows)["rows"][-1]["size"] == {"parameters": 1.234e6, "macs": 2e9}


def test_a_table_is_made_continued_and_printed(
    order: MakeOrder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = order(seeds=[3, 5])
    planned = plan(asked, "9")
    started = describe(asked, planned)
    assert "masks-random (joint): pretrain 2, evaluate; 0 of 2 seeds finished" in started
    assert "6 runs, 0 finished" in started
    assert not asked.out.exists()
    evaluate, evaluated = Run.evaluate, []

    def breaks(run: Run) -> Results:
        if len(evaluated) == 2:
            raise KeyboardInterrupt
        evaluated.append(str(run.folder.relative_to(asked.out)))
        return evaluate(run)

    monkeypatch.setattr(Run, "evaluate", breaks)
    with pytest.raises(KeyboardInterrupt):
        make(asked, planned)
    half = json.loads((asked.out / "table-9.json").read_text())
    assert [bool(row["accuracy"]["Lin."]) for row in half["rows"]] == [True, False, False, False, False]
    assert "6 runs, 2 finished" in describe(asked, planned)
    monkeypatch.setattr(
        Run, "evaluate", lambda run: (evaluated.append(str(run.folder.relative_to(asked.out))), evaluate(run))[1]
    )
    rows = make(asked, planned)
    assert len(evaluated) == len(set(evaluated)) == 6  # none twice
    for row in rows:
        cell: Cell = row.row.cells["Lin."]
        for seed, value in zip(planned.seeds, row.values["Lin."], strict=True):
            results = Results.load(asked.out / cell.setting.name / f"seed-{seed}" / "evaluate")
            assert [value] == [r.fused for r in results.accuracy if r.stage == cell.stage]
    text = (asked.out / "table-9.md").read_text(encoding="utf-8")
    assert text == markdown(planned, rows)
    assert "| | split | Lin. | paper, NTU-60 xsub |" in text
    assert "| Low-Degree, High-Motion | test |" in text
    assert text.count("| 75.84 |") == 1
    assert "mean ± deviation over seeds 3, 5" in text
    assert text.count("(p ") == 4  # all but the first row
    written = json.loads((asked.out / "table-9.json").read_text())
    assert written == json.loads(json.dumps(as_json(planned, rows)))
    assert written["rows"][4]["paper"] == {"Lin.": 0.7584}
    assert "sweep: masks-symmetric, seed 5" in capsys.readouterr().err


def test_tables_in_one_folder_share_runs_and_what_they_have_in_common(
    order: MakeOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    copy = sweep._copy
    asked = order()

    def counting(source: Path, target: Path) -> None:
        copied.append(str(target.relative_to(asked.out)))
        copy(source, target)

    monkeypatch.setattr(sweep, "_copy", counting)
    make(asked, plan(asked, "3"))
    assert copied == []
    make(asked, plan(asked, "5"))
    streams = ("joint", "bone")
    assert sorted(copied) == sorted(
        [f"asma-linear-distill/seed-0/{stage}/{stream}" for stage in ("pretrain", "align") for stream in streams]
        + [f"asma-finetune-distill/seed-0/pretrain/{stream}" for stream in streams]
    )
    rows = make(asked, plan(asked, "8"))  # the runs of table 5
    assert [row.row.name for row in rows][::2] == ["Joint (J), ASMa", "Bone (B), ASMa"]
    assert len(copied) == 6
    with pytest.raises(CheckpointError, match="other settings"):
        make(order("distill.tau=3.0"), plan(order("distill.tau=3.0"), "5"))


def test_encoders_of_another_data_set_are_transferred(
    order: MakeOrder, make_waves: Callable[..., None], tmp_path: Path
) -> None:
    make_waves(tmp_path / "elsewhere", clips=30)
    asked = order(
        'streams=["bone"]', "fusion=[1.0]", sources={"elsewhere": PreparedDataset.open(tmp_path / "elsewhere")}
    )
    planned = plan(asked, "6")
    rows = {row.row.name: row for row in make(asked, planned)}
    assert set(rows["3s-PSTL"].values) == {"from elsewhere", "from itself"}
    assert all(len(values) == 1 for row in rows.values() for values in row.values.values())
    recipe = load_recipe(asked.out / "asma-from-elsewhere" / "seed-0" / "evaluate" / "config.toml")
    assert recipe.pretrain.source == str(asked.out / "source-elsewhere-asma" / "seed-0")
    assert recipe.stages == ("finetune", "align", "evaluate")
    assert "3s-ASMa | test |" in markdown(planned, list(rows.values()))


def test_what_a_recipe_cannot_give_is_left_out_by_name(order: MakeOrder) -> None:
    joint = order('streams=["joint"]', "fusion=[1.0]")
    table = plan(joint, "8").table
    assert [row.name for row in table.rows] == ["Joint (J), ASMa", "Joint (J), ASMa-Distill"]
    assert table.absent["Bone (B), ASMa, Lin."] == "the recipe has no stream 'bone'"
    assert "mines positives between streams" in plan(joint, "1").table.absent["3s-CrosSCLR, Lin."]
    with pytest.raises(RecipeError, match="allows no row"):
        plan(joint, "5")
    with pytest.raises(RecipeError, match="impossible"):
        plan(order("align.lr=-1.0"), "3")
    with pytest.raises(RecipeError, match="every seed once"):
        plan(order(seeds=[1, 1]), "3")
    with pytest.raises(RecipeError, match="no table 2"):
        plan(joint, "2")


def test_the_command(order: MakeOrder, capsys: pytest.CaptureFixture[str]) -> None:
    asked = order()
    command = ["--data", str(asked.dataset.path), "--recipe", str(asked.recipe), "--out", str(asked.out)]
    assert main(["table", "3", *command, "--dry-run"]) == 0
    assert "asma-linear (joint, bone): pretrain 2, align 2, evaluate" in capsys.readouterr().out
    assert not asked.out.exists()
    assert main(["table", "3", *command, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    results = Results.load(asked.out / "asma-linear" / "seed-0" / "evaluate")
    assert shown["rows"][3]["accuracy"] == {"Lin.": [r.fused for r in results.accuracy if r.stage == "teacher"]}
    assert main(["table", "3", *command]) == 0
    assert "f_φ + f_θ (w/ FA) | test |" in capsys.readouterr().out
    twice = ["--source", str(asked.dataset.path)] * 2
    assert main(["table", "6", *command, *twice]) == 2

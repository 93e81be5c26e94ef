"""Whether a data set is what a recipe asks for."""

from __future__ import annotations

from asma_edge.plain_text import LONGEST_LABEL, brief, is_label
from asma_trainer.data.dataset import UNLABELLED, PreparedDataset
from asma_trainer.data.labels import labelled_split
from asma_trainer.data.windows import preprocess_spec, present
from asma_trainer.errors import DataError
from asma_trainer.recipe.recipe import Recipe


def check_fit(dataset: PreparedDataset, recipe: Recipe) -> None:
    """Refuse what cannot be trained on. Pretraining alone takes any clips; whatever follows it asks for labels.

    Raises:
        DataError: a class has a name that no model can carry, a split is missing or empty, labels are missing or
            of one class only, the training split lacks a class which a test split asks for, the preprocessing does not
            suit the units, or the idle label is no class.
    """
    _check_names(dataset)
    preprocess_spec(dataset, recipe.data)
    trained = set(dataset.label[dataset.split(recipe.data.train, "data.train")].tolist()) - {UNLABELLED}
    if set(recipe.stages) <= {"pretrain"}:
        return
    if not trained:
        raise DataError(
            f"split '{recipe.data.train}' of '{dataset.path}' has no labels",
            expected="labelled clips for the stages after pretraining",
            got="clips without labels only",
            hint="name another split in data.train, or only pretrain: --set 'stages=[\"pretrain\"]'",
        )
    for name in recipe.data.test:
        unseen = set(dataset.label[labelled_split(dataset, name, "data.test")].tolist()) - trained
        if unseen:
            raise DataError(
                f"split '{name}' has classes without any training clip",
                expected=f"every class of '{name}' also in '{recipe.data.train}'",
                got=", ".join(dataset.info.classes[label] for label in sorted(unseen)),
                hint="choose other splits, or record the missing classes for training",
            )
    if len(trained) == 1:
        raise DataError(
            f"split '{recipe.data.train}' of '{dataset.path}' has one class only",
            expected="two classes at least, which a model tells apart",
            got=dataset.info.classes[min(trained)],
            hint="cut whole recordings into actions and what is none of them first: asma-data label",
        )
    idle = recipe.student.idle_label
    if idle is not None and idle not in dataset.info.classes:
        raise DataError(
            f"the idle label '{idle}' is not a class of '{dataset.path}'",
            expected="one of " + ", ".join(dataset.info.classes),
            got=idle,
            hint="correct student.idle_label in the recipe, or remove it",
        )


def _check_names(dataset: PreparedDataset) -> None:
    unfit = [name for name in dataset.info.classes if not is_label(name)]
    if unfit:
        raise DataError(
            f"{len(unfit)} of {len(dataset.info.classes)} class names of '{dataset.path}' cannot be those of a model",
            expected=f"1 to {LONGEST_LABEL} characters, no control characters among them",
            got=f"{len(unfit[0])} characters, '{brief(unfit[0])}'",
            hint="correct classes in dataset.toml",
        )


def check_people(dataset: PreparedDataset, recipe: Recipe) -> None:
    """Refuse to train a device student on what no device shows it: several people in one sample.

    Raises:
        DataError: names how many training clips show several people.
    """
    student = recipe.student
    if dataset.people == 1 or student.kind != "device" or student.people == "each":
        return
    clips = dataset.split(recipe.data.train, "data.train")
    several = [clip for clip in clips if len(present(dataset.clip(clip))) > 1]
    if several:
        raise DataError(
            f"{len(several)} of {len(clips)} training clips of '{dataset.path}' show several people",
            expected="one person a clip, as a device student sees them",
            got=f"for example '{dataset.name[several[0]]}', {len(present(dataset.clip(several[0])))} people",
            hint="make each person a sample of their own (--set student.people=each), or keep one on import "
            "(--people 1); students that see several at once are for comparison only (--set student.kind=paper)",
        )

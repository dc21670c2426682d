from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.members import load_member
from neurosono.engine.network import ResNet34
from neurosono.training.sizes.derivation import Derivation
from neurosono.training.sizes.soup import (
    Tasting,
    average,
    cook_greedily,
    draw_frames,
    make_soup,
    remeasure_norms,
)
from tests.training.conftest import write_cohort
from tests.training.sizes.parents import make_parent

MakeCohort = Callable[..., Cache]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cache, Bundle]:
    """Return a cohort, and a bundle of two members that have really learnt it."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("taught")
    cache = write_cohort(root / "cache", patients=6)
    return cache, Bundle.load(make_parent(root / "parent", cache, epochs=10))


def test_the_mean_of_weights_is_the_mean(make_cohort: MakeCohort, tmp_path: Path) -> None:
    parent = Bundle.load(make_parent(tmp_path / "parent", make_cohort(), members=3))
    networks = [load_member(parent, member) for member in parent.manifest.members]
    soup = average(networks).state_dict()
    for name in ("conv1.weight", "layer3.2.bn2.running_var", "fc.bias"):
        mean = torch.stack([each.state_dict()[name] for each in networks]).mean(0)
        torch.testing.assert_close(soup[name], mean)
    assert soup["bn1.num_batches_tracked"].dtype == torch.int64
    with pytest.raises(InputError, match=r"widths \[0.125, 0.25\] have no mean"):
        average([networks[0], ResNet34(3, 0.25)])


def test_norms_measured_anew_make_each_channel_standard(make_cohort: MakeCohort) -> None:
    cache = make_cohort()
    torch.manual_seed(3)
    network = ResNet34(len(cache.labels), 0.125)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(100.0)  # type: ignore[union-attr]
    remeasure_norms(network, cache, np.arange(len(cache.rows)))
    assert not network.training

    seen: list[torch.Tensor] = []
    network.bn1.register_forward_hook(lambda _m, _i, out: seen.append(out))
    grey = torch.from_numpy(cache.frames.copy()).unsqueeze(1).float()
    mean, std = torch.tensor(cache.spec.mean) * 255, torch.tensor(cache.spec.std) * 255
    with torch.no_grad():
        network((grey - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1))
    torch.testing.assert_close(seen[0].mean((0, 2, 3)), torch.zeros(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[0].std((0, 2, 3)), torch.ones(8), atol=1e-2, rtol=0)


def test_a_soup_of_one_member_with_itself_is_that_member(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    parent = Bundle.load(make_parent(tmp_path / "parent", cache, members=1))
    found = make_soup(Derivation(parent, tmp_path / "soup", "soup"), cache)
    made = Bundle.load(tmp_path / "soup")
    before, after = (load_member(each, each.manifest.members[0]) for each in (parent, made))
    for name, value in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], value), name
    assert found["tasting"]["soup"] == found["tasting"]["ensemble"]


def test_a_soup_of_strangers_is_called_bad_on_its_card(
    taught: tuple[Cache, Bundle], tmp_path: Path
) -> None:
    cache, parent = taught
    found = make_soup(Derivation(parent, tmp_path / "soup", "soup"), cache)
    assert found["tasting"]["ensemble"] > 0.9, "the members have learnt"
    assert found["tasting"]["is_bad"]
    made = Bundle.load(tmp_path / "soup").manifest
    assert len(made.members) == 1
    assert "It is bad: do not use it" in made.card["limits"][-1]
    assert f"judges {found['tasting']['soup']:.1%} rightly" in made.card["limits"][-1]
    assert made.card["derivation"]["norms_measured_on"] == len(cache.rows)

    raw = make_soup(Derivation(parent, tmp_path / "raw", "soup"))
    assert "tasting" not in raw
    assert "never measured" in Bundle.load(tmp_path / "raw").manifest.card["limits"][-1]


def test_a_greedy_soup_is_never_worse_than_its_best_member(
    taught: tuple[Cache, Bundle], make_cohort: MakeCohort, tmp_path: Path
) -> None:
    (cache, parent), held_out = taught, make_cohort("held-out", seed=5)
    networks = [load_member(parent, member) for member in parent.manifest.members]
    alone = [cook_greedily([each], held_out, None, np.arange(0))[1] for each in networks]
    twice, reached = cook_greedily([networks[0], networks[0]], held_out, None, np.arange(0))
    assert (twice, reached) == ([0, 1], alone[0]), "the same once more changes nothing"

    found = make_soup(Derivation(parent, tmp_path / "soup", "soup"), cache, held_out)
    assert found["kind"] == "greedy"
    assert found["selection_accuracy"] >= max(alone)
    card = Bundle.load(tmp_path / "soup").manifest.card
    used = {pseudonym(name, cache.digest) for name in held_out.label_of_patient}
    assert used <= set(card["training_data"]["patients_seen"])


def test_only_patients_that_were_trained_on_may_measure_norms(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    parent = Bundle.load(make_parent(tmp_path / "parent", cache))
    other = make_cohort("other", seed=5)
    with pytest.raises(InputError, match="trained on none of the 12 patients"):
        make_soup(Derivation(parent, tmp_path / "soup", "soup"), other)
    with pytest.raises(InputError, match="were trained on"):
        make_soup(Derivation(parent, tmp_path / "soup", "soup"), cache, cache)
    assert not list(tmp_path.glob("soup*"))
    card = dict(parent.manifest.card)
    one = pseudonym(next(iter(cache.label_of_patient)), cache.digest)
    card["training_data"] = card["training_data"] | {"patients_seen": [one]}
    narrow = replace(parent, manifest=replace(parent.manifest, card=card))
    found = make_soup(Derivation(narrow, tmp_path / "soup", "soup"), cache)
    assert found["norms_measured_on"] == 4, "the frames of the one patient, and no others"


def test_frames_are_drawn_once_each() -> None:
    rows = np.arange(10, 50)
    drawn = draw_frames(rows, 20)
    assert len(set(drawn)) == 20
    assert set(drawn) < set(rows)
    assert sorted(draw_frames(rows, 1000)) == list(rows)


def test_a_good_soup_is_not_called_bad() -> None:
    assert not Tasting("x", 100, 0.86, 0.90).is_bad
    assert Tasting("x", 100, 0.84, 0.90).is_bad

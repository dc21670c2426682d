"""The weights that training starts from."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18, resnet34

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.network import ResNet34
from neurosono.training.fit.weights import read_start
from neurosono.training.recipe import Recipe


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_file_of_torchvisions_resnet34_fits_by_name(tmp_path: Path, ending: str) -> None:
    theirs = resnet34(weights=None).eval()
    path = tmp_path / f"resnet34.{ending}"
    if ending == "pth":
        torch.save(theirs.state_dict(), path)
    else:
        save_file(theirs.state_dict(), path)
    start = read_start(Recipe(weights=str(path)))
    assert not any(name.startswith("fc.") for name in start), "its classes are others"
    ours = ResNet34(5).eval()
    ours.load_state_dict(start, strict=False)
    theirs.fc = torch.nn.Identity()
    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(ours.feature_maps(picture).mean((2, 3)), theirs(picture), atol=1e-5)


def test_random_starts_from_nothing() -> None:
    assert read_start(Recipe(weights="random")) == {}


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    narrow = tmp_path / "narrow.safetensors"
    save_file(ResNet34(1000, 0.25).state_dict(), narrow)
    with pytest.raises(InputError, match=r"of width 0\.125 \(bn1\.bias is \(16,\) there, \(8,\)"):
        read_start(Recipe(weights=str(narrow), width=0.125))
    assert read_start(Recipe(weights=str(narrow), width=0.25))

    shallow = tmp_path / "resnet18.pth"
    torch.save(resnet18(weights=None).state_dict(), shallow)
    with pytest.raises(InputError, match=r"arrays are missing, e\.g\. layer1\.2\."):
        read_start(Recipe(weights=str(shallow)))

    more = tmp_path / "more.safetensors"
    save_file(ResNet34(2, 0.125).state_dict() | {"head.weight": torch.ones(1)}, more)
    with pytest.raises(InputError, match=r"it has no head\.weight"):
        read_start(Recipe(weights=str(more), width=0.125))


@pytest.mark.parametrize("name", ["absent.pth", "text.pth", "text.safetensors", "list.pth"])
def test_a_file_that_is_no_weights_is_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.startswith("text"):
        path.write_text("these are not weights")
    if name.startswith("list"):
        torch.save([torch.ones(2)], path)
    with pytest.raises(InputError, match=r"(cannot be read as|hold no table)") as told:
        read_start(Recipe(weights=str(path)))
    assert "\n" not in str(told.value)


def test_a_pickle_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    torch.save({"conv1.weight": Harmful()}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="cannot be read as a torch file"):
        read_start(Recipe(weights=str(tmp_path / "w.pth")))
    assert not (tmp_path / "ran").exists()


def test_imagenet_without_a_network_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # the discard port: nobody listens
    with pytest.raises(InputError, match=r"cannot be fetched .*name a local file"):
        read_start(replace(Recipe(), weights="imagenet"))

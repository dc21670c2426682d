"""The networks beside ResNet34: others' weights fit by name, class maps are exact, graphs agree."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from neurosono.engine.backends.openvino import MODEL_NAME, OpenVinoBackend, save
from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.builders.onnx import export_onnx
from neurosono.engine.builders.openvino import convert
from neurosono.engine.cam import eigen_cam, normalise_cam
from neurosono.engine.contracts.architecture import ARCHITECTURES, count_features
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.manifest import Manifest, Member
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import Network, fill_network, make_network
from neurosono.engine.networks.transformer import VisionTransformer

NARROW = {"vit-ti": 1 / 3, "vit-s": 1 / 6, "vit-b": 1 / 12}
"""One attention head each."""


def narrow(architecture: str, size_px: int = 64, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    network = make_network(architecture, 3, NARROW.get(architecture, 0.125), size_px)
    network.train()
    with torch.no_grad():
        network(torch.randn(8, 3, size_px, size_px))  # its norms have seen something
    return network.eval()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_filled_network_is_the_one_whose_weights_it_was_given(architecture: str) -> None:
    network = narrow(architecture)
    halved = {name: value.to(torch.bfloat16) for name, value in network.state_dict().items()}
    for weights in (network.state_dict(), halved):
        filled = fill_network(architecture, 3, network.width, 64, weights).eval()
        assert {value.dtype for value in filled.parameters()} == {torch.float32}
        for name, value in filled.state_dict().items():
            assert torch.equal(value, weights[name].to(value.dtype))
    picture = torch.randn(2, 3, 64, 64)
    filled = fill_network(architecture, 3, network.width, 64, network.state_dict()).eval()
    assert torch.equal(filled(picture), network(picture))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_class_maps_are_exact(architecture: str) -> None:
    network = narrow(architecture).double()
    picture = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        logits, cams, features = network.explain(picture)
        torch.testing.assert_close(logits, network(picture))
        torch.testing.assert_close(cams.mean((2, 3)) + network.last_layer.bias, logits)
        early, count = count_features(architecture, network.width)
        assert features.shape == (2, count)
        assert (features[:, :early] >= 0).all(), "a logarithm is taken of them"


def test_resnet50_takes_and_equals_torchvisions() -> None:
    theirs = torchvision.models.resnet50(num_classes=3).eval()
    ours = make_network("resnet50", 3, 1.0, 64).eval()
    ours.load_state_dict(theirs.state_dict())
    picture = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(picture), theirs(picture), rtol=1e-4, atol=1e-4)


def test_vgg19_has_the_convolutions_of_torchvisions() -> None:
    with torch.device("meta"):
        theirs = torchvision.models.vgg19_bn().features.state_dict()
        ours = make_network("vgg19", 3, 1.0, 64).state_dict()
    expected = {f"features.{name}": value.shape for name, value in theirs.items()}
    found = {name: value.shape for name, value in ours.items() if name.startswith("features")}
    assert found == expected


def test_a_transformer_equals_torchvisions_on_the_same_weights() -> None:
    torch.manual_seed(1)
    theirs = torchvision.models.VisionTransformer(
        image_size=48, patch_size=16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768
    ).eval()
    ours = VisionTransformer("vit-ti", 3, 1.0, 48).eval()
    state = theirs.state_dict()
    renamed = {
        "cls_token": state["class_token"],
        "pos_embed": state["encoder.pos_embedding"],
        "patch_embed.proj.weight": state["conv_proj.weight"],
        "patch_embed.proj.bias": state["conv_proj.bias"],
    }
    parts = {
        "ln_1": "norm1",
        "self_attention.in_proj_": "attn.qkv.",
        "self_attention.out_proj": "attn.proj",
        "ln_2": "norm2",
        "mlp.0": "mlp.fc1",
        "mlp.3": "mlp.fc2",
        "encoder_layer_": "",
        "encoder.ln": "norm",
        "encoder.layers": "blocks",
    }
    for name, value in state.items():
        if name.startswith(("encoder.layers", "encoder.ln")):
            for old, new in parts.items():
                name = name.replace(old, new)
            renamed[name] = value
    missing = ours.load_state_dict(renamed, strict=False)
    assert missing.missing_keys == ["head.weight", "head.bias"]
    assert not missing.unexpected_keys
    picture = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        tokens = theirs._process_input(picture)
        tokens = torch.cat([theirs.class_token.expand(2, -1, -1), tokens], 1)
        expected = theirs.encoder(tokens)[:, 1:].transpose(1, 2).unflatten(2, (3, 3))
        torch.testing.assert_close(ours.feature_maps(picture), expected, rtol=1e-4, atol=1e-4)


def test_places_stretch_to_smaller_pictures_and_only_whole_patches_are_taken() -> None:
    network = narrow("vit-ti")
    with torch.no_grad():
        assert network.feature_maps(torch.randn(1, 3, 32, 32)).shape[2:] == (2, 2)
        with pytest.raises(InputError, match="multiple of 16"):
            network(torch.randn(1, 3, 40, 40))
    with pytest.raises(InputError, match="multiple of 16"):
        make_network("vit-ti", 3, 1.0, 100)
    with pytest.raises(InputError, match="a width of 0"):
        make_network("vit-ti", 3, 0.125, 64)


def test_an_unknown_architecture_is_one_sentence() -> None:
    with pytest.raises(InputError, match="must be one of resnet34"):
        make_network("vit-xl", 3, 1.0, 64)
    with pytest.raises(InputError, match="of one architecture"):
        Ensemble([narrow("vit-ti"), narrow("resnet34")], PreprocessingSpec(size_px=64))


def manifest(*architectures: str) -> Manifest:
    members = tuple(
        Member(f"{at}", 0.5, architecture=each) for at, each in enumerate(architectures)
    )
    return Manifest("m", ("a", "b"), PreprocessingSpec(), members)


def test_a_manifest_says_which_network_but_of_a_resnet34_nothing() -> None:
    said = manifest("resnet34").to_json()
    assert said["members"] == [{"name": "0", "width": 0.5, "file": None}], "older digests stay"
    assert Manifest.from_json(said).architecture == "resnet34"
    said = manifest("vit-s", "vit-s").to_json()
    assert Manifest.from_json(said).architecture == "vit-s"
    said["members"][0]["architecture"] = "vit-xl"
    with pytest.raises(BundleError, match=r"of one architecture|must be one of"):
        Manifest.from_json(said)
    with pytest.raises(BundleError, match="of one architecture"):
        manifest("vit-s", "resnet34")


PICTURES = np.random.default_rng(2).integers(0, 256, (2, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    networks = [narrow("vit-ti", 32, seed) for seed in (0, 1)]
    return Ensemble(networks, PreprocessingSpec(size_px=32)).eval()


def test_the_merged_graph_agrees_with_torch(ensemble: Ensemble, tmp_path: Path) -> None:
    exact = TorchBackend(copy.deepcopy(ensemble)).infer(PICTURES)
    save(convert(copy.deepcopy(ensemble), 32), tmp_path, "f32")
    export_onnx(copy.deepcopy(ensemble), 32, "f32", tmp_path / "model.onnx")
    for path in (tmp_path / MODEL_NAME, tmp_path / "model.onnx"):
        backend = OpenVinoBackend(path, "f32")
        for at, picture in enumerate(PICTURES):
            found = backend.infer(picture[None])
            np.testing.assert_allclose(found.probabilities[0], exact.probabilities[at], atol=1e-4)
            np.testing.assert_allclose(found.cams[0], exact.cams[at], atol=1e-3)
            np.testing.assert_allclose(found.features[0], exact.features[at], atol=1e-3)


def test_tensorrt_for_rtx_compiles_a_transformer(ensemble: Ensemble, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    from neurosono.engine.builders.tensorrt_rtx import compile_rtx

    built = compile_rtx(copy.deepcopy(ensemble), 32, "f32", tmp_path)
    names = [path.name for path in tmp_path.iterdir()]
    assert names == ["ampere.engine"], "Turing has no float32 matrix product there"
    exact = TorchBackend(copy.deepcopy(ensemble)).infer(PICTURES[:1])
    difference = np.abs(built.infer(PICTURES[:1]).probabilities - exact.probabilities).max()
    assert difference < 1e-4


def _as_map(tokens: torch.Tensor) -> torch.Tensor:
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (4, 4))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_class_maps_and_eigen_maps_equal_pytorch_grad_cams() -> None:
    from pytorch_grad_cam import EigenCAM, GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    network = narrow("vit-ti", 64, seed=4)
    assert isinstance(network, VisionTransformer)
    picture = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        cams = network.explain(picture)[1][0].numpy()
        maps = network.feature_maps(picture)[0].numpy()
    with GradCAM(network, [network.norm], reshape_transform=_as_map) as reference:
        for label in range(3):
            target = [ClassifierOutputTarget(label)]
            reference(picture, target)
            held = reference.activations_and_grads
            activations, gradients = held.activations[0].numpy(), held.gradients[0].numpy()
            layer = reference.get_cam_image(
                picture, network.norm, target, activations, gradients, eigen_smooth=False
            )
            theirs = normalise_cam(layer[0].astype(np.float32))
            np.testing.assert_allclose(normalise_cam(cams[label]), theirs, atol=1e-3)
    with EigenCAM(network, [network.norm], reshape_transform=_as_map) as reference:
        reference(picture, [ClassifierOutputTarget(0)])
        activations = reference.activations_and_grads.activations[0].numpy()
        theirs = reference.get_cam_image(picture, network.norm, [], activations, None, False)[0]
    for label in range(3):
        ours = eigen_cam(maps, cams[label])
        sign = np.sign(float((ours * theirs).sum()))
        np.testing.assert_allclose(ours, sign * theirs, atol=1e-3)
        assert float((ours * cams[label]).sum()) >= 0

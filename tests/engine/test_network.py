"""The network: torchvision's parameter names, the closed form of Grad-CAM, the merged graph."""

import numpy as np
import pytest
import torch
import torchvision

from neurosono.engine.cam import combine_cams, normalise_cam
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.network import Ensemble, ResNet34
from tests.support.bundles import make_ensemble


def test_full_width_takes_and_equals_torchvisions_resnet34() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet34(num_classes=5).eval()
    ours = ResNet34(5).eval()
    ours.load_state_dict(theirs.state_dict())
    picture = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours(picture), theirs(picture), rtol=0, atol=1e-5)


def test_logits_are_the_mean_of_the_maps_plus_the_bias() -> None:
    member = make_ensemble(1).members[0].double()
    picture = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        logits, cams, _ = member.explain(picture)
        torch.testing.assert_close(cams.mean((2, 3)) + member.fc.bias, logits)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_closed_form_equals_pytorch_grad_cam_on_layer4() -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    ensemble = make_ensemble(1, width=0.25, size_px=224, seed=3)
    member = ensemble.members[0]
    compared = 0
    for seed in range(4):
        torch.manual_seed(seed)
        grey = torch.randint(0, 256, (1, 1, 224, 224), dtype=torch.uint8)
        normalised = ensemble.normalise(grey)
        with torch.no_grad():
            ours = normalise_cam(member.explain(normalised)[1][0].numpy())
        with GradCAM(member, [member.layer4[-1]]) as reference:
            for label in range(5):
                reference(normalised, [ClassifierOutputTarget(label)])
                activations = reference.activations_and_grads.activations[0].numpy()
                gradients = reference.activations_and_grads.gradients[0].numpy()
                layer = reference.get_cam_image(
                    normalised,
                    reference.target_layers[0],
                    [ClassifierOutputTarget(label)],
                    activations,
                    gradients,
                    eigen_smooth=False,
                )
                theirs = normalise_cam(layer[0].astype(np.float32))
                if theirs.max() > 0:
                    compared += 1
                    np.testing.assert_allclose(ours[label], theirs, atol=1e-3)
    assert compared >= 10


def test_an_all_negative_map_stays_zero_and_finite() -> None:
    cams = np.full((2, 3, 7, 7), -1.0, dtype=np.float32)
    assert not combine_cams(cams).any()
    cams[0, 1, 2, 3] = 4.0
    combined = combine_cams(cams)
    assert np.isfinite(combined).all()
    assert combined[1, 2, 3] == 1.0
    assert combined.shape == (3, 7, 7)


def test_every_member_has_the_same_say_in_the_heatmap() -> None:
    cams = np.zeros((2, 1, 1, 2), dtype=np.float32)
    cams[0, 0, 0, 0], cams[1, 0, 0, 1] = 1000.0, 0.001
    np.testing.assert_allclose(combine_cams(cams), np.ones((1, 1, 2)))


def test_an_ensemble_gives_each_members_own_answer() -> None:
    ensemble = make_ensemble(3)
    grey = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        probabilities, cams, features = ensemble(grey)
        assert probabilities.shape == (2, 3, 5)
        assert cams.shape == (2, 3, 5, 2, 2)
        assert features.shape == (2, 3, 22 * 8)
        for index, member in enumerate(ensemble.members):
            alone = torch.softmax(member(ensemble.normalise(grey)), 1)
            torch.testing.assert_close(probabilities[:, index], alone)


@pytest.mark.parametrize(("classes", "width"), [(1, 1.0), (5, 0.05)])
def test_refuses_a_network_that_cannot_be(classes: int, width: float) -> None:
    with pytest.raises(InputError):
        ResNet34(classes, width)


def test_refuses_members_of_different_class_counts() -> None:
    with pytest.raises(InputError, match="one class count"):
        Ensemble([ResNet34(5, 0.125), ResNet34(4, 0.125)], PreprocessingSpec())


def test_members_compute_in_half_and_answer_in_float32() -> None:
    ensemble = make_ensemble(2).cast(torch.float16)
    grey = torch.randint(0, 256, (1, 1, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        assert ensemble.normalise(grey).dtype == torch.float16
        assert {output.dtype for output in ensemble(grey)} == {torch.float32}

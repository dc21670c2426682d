"""A bundle's members as torch modules; needs torch and safetensors."""

from safetensors import SafetensorError
from safetensors.torch import load_file

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError
from neurosono.engine.contracts.manifest import Member
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import Network, fill_network


def load_member(bundle: Bundle, member: Member) -> Network:
    """Load one member's weights; raises `BundleError` where the bundle does not carry them."""
    if member.file is None:
        raise BundleError(
            f"bundle {bundle.root} carries member {member.name} inside its engines only: "
            "use --engine openvino, or train a bundle with `neurosono train`"
        )
    classes, size_px = len(bundle.manifest.labels), bundle.manifest.preprocessing.size_px
    try:
        weights = load_file(bundle.root / member.file.path)
        network = fill_network(member.architecture, classes, member.width, size_px, weights)
    except (RuntimeError, OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(
            f"{member.file.path} does not fit a {member.architecture} of width {member.width}: "
            f"{reason}"
        ) from error
    return network.eval()


def load_ensemble(bundle: Bundle, members: int | None = None) -> Ensemble:
    """Load the first `members` members (None: all) as one ensemble."""
    chosen = bundle.manifest.members
    wanted = len(chosen) if members is None else members
    if not 1 <= wanted <= len(chosen):
        raise BundleError(f"--members {wanted} asked for, but the bundle has {len(chosen)}")
    networks = [load_member(bundle, member) for member in chosen[:wanted]]
    return Ensemble(networks, bundle.manifest.preprocessing)

"""Small bundles as training leaves them, to derive others from."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from neurosono.engine.bundle import file_of, write_calibration, write_json, write_manifest
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.manifest import Manifest, Member
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.network import Ensemble, ResNet34


def make_parent(
    root: Path, cache: Cache, members: int = 2, width: float = 0.125, epochs: int = 0
) -> Path:
    """Write a bundle of members from starts of their own that says it was trained on `cache`.

    Each really learns the cache for `epochs`; at 0 its batch norms have seen data, no more.
    """
    (root / "members").mkdir(parents=True)
    (root / "report").mkdir()
    entries = []
    for number in range(members):
        torch.manual_seed(number)
        member = ResNet34(len(cache.labels), width)
        _teach(member, cache, epochs)
        path = f"members/{number:02d}.safetensors"
        save_file(member.state_dict(), root / path)
        entries.append(Member(f"{number:02d}", width, file_of(root, path)))
    epoch = {
        "epoch": 0,
        "size_px": cache.spec.size_px,
        "validation_accuracy": 0.5,
        "validation_loss": 1.0,
    }
    write_json(root / "report" / "history.json", [[epoch]] * members)
    card = {
        "limits": [NOTICE],
        "training_data": {
            "digest": cache.digest,
            "patients_seen": sorted(pseudonym(n, cache.digest) for n in cache.label_of_patient),
        },
        "metrics": {"out_of_fold": {}},
    }
    manifest = Manifest(
        name="parent",
        labels=cache.labels,
        preprocessing=cache.spec,
        members=tuple(entries),
        calibration=write_calibration(root, Calibration(temperature=1.5)),
        card=card,
    )
    write_manifest(root, manifest)
    return root


def _teach(member: ResNet34, cache: Cache, epochs: int) -> None:
    ensemble = Ensemble([member], cache.spec)
    pictures = ensemble.normalise(torch.from_numpy(cache.frames.copy()).unsqueeze(1))
    target = torch.from_numpy(cache.targets)
    member.train()
    optimiser = torch.optim.AdamW(member.parameters(), lr=2e-3)
    for _ in range(max(1, epochs)):
        for rows in torch.randperm(len(target)).split(12):
            loss = torch.nn.functional.cross_entropy(member(pictures[rows]), target[rows])
            if epochs:
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
    member.eval()

"""A bundle made of another one: what it carries on, what it must not, and where it came from.

A chosen few of the members, a weight average and a distilled student all end here, as bundles like
any other. Calibration, engines and metrics are of the old members and stay behind; the patients
that were seen are carried on, so that none of them is ever judged as if unseen.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from neurosono.engine.bundle import Bundle, file_of, write_json, write_manifest
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.manifest import Member
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.files import writing
from neurosono.engine.judgement import check_fits, salt_of
from neurosono.engine.networks import Network
from neurosono.training.run import describe_environment

ABOUT_NAME = "derivation.json"
HISTORY_PATH = Path("report") / "history.json"


def seen_by(bundle: Bundle) -> frozenset[str]:
    """Return the pseudonyms of the patients that trained, selected or otherwise shaped it."""
    return frozenset(bundle.manifest.card.get("training_data", {}).get("patients_seen", []))


def name_patients(bundle: Bundle, patients: Iterable[str]) -> frozenset[str]:
    """Return these patients' pseudonyms, as this bundle's card writes them."""
    return frozenset(pseudonym(patient, salt_of(bundle)) for patient in patients)


def find_trained(bundle: Bundle, cache: Cache) -> frozenset[str]:
    """Return the patients of `cache` that the bundle was trained on: they alone may shape another.

    Others would be used up, for nothing could be measured on them afterwards. Raises `InputError`
    where it was trained on none of them.
    """
    check_fits(bundle, cache)
    seen, salt = seen_by(bundle), salt_of(bundle)
    found = frozenset(name for name in cache.label_of_patient if pseudonym(name, salt) in seen)
    if not found:
        raise InputError(
            f"bundle {bundle.root} was trained on none of the {len(cache.label_of_patient)} "
            f"patients of cache {cache.root}: give the cache that it was trained on, and keep this "
            "one to measure with"
        )
    return found


@dataclass(frozen=True)
class Derivation:
    """The making of `out` from `parent`: in `out` with the ending `.part`, renamed at the end.

    `method` is one word for the card. `about` is all that the result follows from: a folder that
    was begun with another one is refused.
    """

    parent: Bundle
    out: Path
    method: str
    name: str = ""
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def part(self) -> Path:
        """Return the folder in which the bundle grows."""
        return self.out.with_name(self.out.name + ".part")

    def open(self) -> None:
        """Make the working folder, or take it up again where it was begun the same way."""
        hidden = [member.name for member in self.parent.manifest.members if member.file is None]
        if hidden:
            raise InputError(
                f"bundle {self.parent.root} carries member {hidden[0]} inside its engines only: "
                "derive from a bundle that has its members' weights"
            )
        if self.out.exists():
            raise OutputError(f"{self.out} is there already: choose another --out or remove it")
        about = {"method": self.method, "from": self.parent.manifest.digest} | self.about
        path = self.part / ABOUT_NAME
        try:
            for folder in ("members", "report"):
                (self.part / folder).mkdir(parents=True, exist_ok=True)
            begun = json.loads(path.read_bytes()) if path.exists() else about
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write {self.part}: {error}; remove it") from error
        if begun != about:
            raise InputError(
                f"{self.part} was begun with other data or choices: give the same ones to take it "
                "up again, or remove it to begin anew"
            )
        write_json(path, about)

    def copy_member(self, member: Member) -> Member:
        """Copy a member of the parent, byte by byte, and return its entry."""
        assert member.file is not None, "checked in open"
        self._copy(member.file.path)
        return member

    def save_member(self, network: Network) -> Member:
        """Write a network as member 00 and return its entry."""
        path = "members/00.safetensors"
        weights = {name: v.detach().cpu().contiguous() for name, v in network.state_dict().items()}
        with writing(self.part, "free some space"):
            save_file(weights, self.part / path)
        return Member("00", network.width, file_of(self.part, path), network.architecture)

    def finish(
        self,
        members: tuple[Member, ...],
        details: dict[str, Any],
        limit: str,
        *,
        seen: frozenset[str] = frozenset(),
        card: dict[str, Any] | None = None,
    ) -> Bundle:
        """Write the manifest, put the folder in its place, and open it.

        `details` and `limit`, one sentence, go on the card; `seen` are the pseudonyms of patients
        that had a part in it beside the parent's; `card` overrides the parent's keys.
        """
        parent = self.parent.manifest
        manifest = replace(
            parent,
            name=self.name or self.out.name,
            members=members,
            calibration=None,
            familiarity=None,
            engines=(),
            card=self._describe(details, limit, seen) | (card or {}),
        )
        for file in manifest.files:  # what belongs to the model beside its members
            if not (self.part / file.path).exists():
                self._copy(file.path)
        write_manifest(self.part, manifest)
        with writing(self.out):
            for path in (*self.part.glob("state-*.pt"), self.part / ABOUT_NAME):
                path.unlink(missing_ok=True)
            self.part.replace(self.out)
        return Bundle.load(self.out)

    def _copy(self, path: str) -> None:
        with writing(self.part, "free some space"):
            (self.part / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.parent.root / path, self.part / path)

    def _describe(
        self, details: dict[str, Any], limit: str, seen: frozenset[str]
    ) -> dict[str, Any]:
        parent = self.parent.manifest
        card = {key: value for key, value in parent.card.items() if key != "metrics"}
        data = dict(card.get("training_data", {}))
        data["patients_seen"] = sorted(seen_by(self.parent) | seen)
        origin: dict[str, Any] = {
            "name": parent.name,
            "digest": parent.digest,
            "members": len(parent.members),
        }
        if "derivation" in card:
            origin["derivation"] = card["derivation"]
        return card | {
            "limits": [*card.get("limits", [NOTICE]), limit],
            "training_data": data,
            "derivation": {"method": self.method, "from": origin}
            | details
            | {"environment": describe_environment()},
        }

"""All objects that an exam gives to its study."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from neurosono.engine import __version__
from neurosono.engine.contracts.errors import RunError
from neurosono.stream.hospital.hush import hushed
from neurosono.stream.report.gather import Report
from neurosono.stream.study.biometry import describe_biometry
from neurosono.stream.study.codes import Scheme
from neurosono.stream.study.findings import describe_exam, describe_regions
from neurosono.stream.study.identity import Identity
from neurosono.stream.study.pictures import Replayed, draw_pictures
from neurosono.stream.study.standard import thin_tables

NOTHING_REPLAYED = Replayed()


@dataclass(frozen=True, eq=False)
class Found:
    """What a study is made of: an exam's report, whose it is, and the cines that were judged.

    `failure` is what broke it off, where that is to be told.
    """

    report: Report
    identity: Identity
    replayed: Replayed = NOTHING_REPLAYED
    failure: RunError | None = None


@hushed()
def make_study(
    report: Report,
    identity: Identity,
    scheme: Scheme = Scheme.SNOMED,
    *,
    page: bool = False,
    replayed: Replayed = NOTHING_REPLAYED,
    file: io.BufferedRandom | None = None,
) -> list[Dataset]:
    """Return the objects, pictures first: what refers to others comes after them.

    With `page` the last one is the report as a PDF, to read and to print. `replayed` names the
    cines of the study that were judged: the objects then refer to them. The pixels of the pictures
    go into `file`, where one is given, and not into memory: it is open until they are written.

    The same record makes the same objects with the same UIDs, so that one that was sent twice is
    kept once; a review that came later makes other ones.
    """
    thin_tables()
    revision = _name_revision(report, identity, scheme, replayed)
    pictures = draw_pictures(report, identity, revision, replayed, file)
    objects = [pictures.dataset, describe_exam(report, pictures, scheme, revision)]
    regions = describe_regions(report, pictures, scheme, revision)
    biometry = describe_biometry(report, pictures, revision)
    objects += [each for each in (regions, biometry) if each is not None]
    if page:
        from neurosono.stream.study.paper import wrap_page  # what draws it is loaded for it alone

        objects.append(wrap_page(report, pictures, revision))
    return objects


def _name_revision(report: Report, identity: Identity, scheme: Scheme, replayed: Replayed) -> str:
    """Return what differs wherever the objects would."""
    exam = report.exam
    known: list[Any] = [__version__, scheme, exam.exam_id, exam.sampled, exam.ended_wall_ns]
    known.append(None if exam.ended else report.written_wall_ns)
    known.append(None if report.manifest is None else report.manifest.digest)
    known += [(each.key.key_frame_id, each.key.status, each.key.label) for each in report.pictures]
    known += [(each.keyword, str(each.value)) for each in identity.dataset]
    known += [str(each.SOPInstanceUID) for each in replayed.cines]
    known += [] if identity.order is None else [identity.order.to_json()]
    return hashlib.sha256(repr(known).encode()).hexdigest()

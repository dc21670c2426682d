"""What pictures that passed leave behind: nothing that waits for the garbage collector."""

import gc
from collections.abc import Iterator

import numpy as np

from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.intake import Intake
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.screen.follow import FIRST_LOOK, LOOK_EVERY, Screen
from tests.stream.screen.drawn_screens import draw_screen, sector_mask

SECTOR = sector_mask((300, 400), apex=(200, -10), radii=(45, 280))


class Exam:
    """Pictures through a first and a second look at where the ultrasound stands."""

    description = "drawn"

    def pictures(self) -> Iterator[Picture]:
        screens = [draw_screen(SECTOR, seed) for seed in range(3)]
        for index in range(FIRST_LOOK + 2 * LOOK_EVERY):
            yield Picture(index, 0, index / 25, np.asarray(screens[index % 3]))


def test_nothing_of_a_picture_waits_for_the_collector(no_collector: None) -> None:
    intake = Intake(
        Exam(),
        screen=Screen(),
        sampler=Sampler(every=1),
        gate=EvidenceGate(),
        spec=PreprocessingSpec(),
        stream_id="s",
        readers={"structures": PreprocessingSpec(size_px=96)},
    )
    assert sum(1 for _ in intake.frames()) == FIRST_LOOK + 2 * LOOK_EVERY
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    left = {type(each) for each in gc.garbage}
    ours = {each.__name__ for each in left if each.__module__.startswith("neurosono.")}
    assert not ours

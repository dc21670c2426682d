"""Everything fits on the canvas, whatever the region."""

import pytest

from neurosono.stream.overlay.layout import arrange

SIZES_PX = [(480, 640), (1080, 1920), (96, 128), (40, 60), (400, 1200), (900, 200), (301, 403)]


@pytest.mark.parametrize("size_px", SIZES_PX)
def test_the_canvas_is_even_and_everything_fits(size_px: tuple[int, int]) -> None:
    for classes in (2, 5, 8):
        layout = arrange(size_px, classes)
        assert layout.canvas_h % 2 == layout.canvas_w % 2 == 0
        boxes = [layout.region, layout.panel, layout.footer, *layout.inside.bars]
        boxes += [getattr(layout.inside, name) for name in ("header", "ai", "well", "caption")]
        for box in boxes:
            assert box.x >= 0
            assert box.y >= 0
            assert box.right <= layout.canvas_w
            assert box.bottom <= layout.canvas_h
        assert layout.inside.caption.bottom <= layout.footer.y
        assert layout.inside.well.h >= 4 * layout.unit_px - 1
        assert layout.region.right <= layout.panel.x
        assert layout.unit_px >= 16

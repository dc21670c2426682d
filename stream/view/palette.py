"""The overlay's colours: dark and calm, told apart with any colour vision."""

Colour = tuple[int, int, int]
"""Blue, green, red, each 0 to 255: OpenCV's order."""


def _bgr(rgb: int) -> Colour:
    return rgb & 255, (rgb >> 8) & 255, rgb >> 16


AREA = _bgr(0x000000)
PANEL = _bgr(0x11151B)
RAISED = _bgr(0x1B222B)
WELL = _bgr(0x0A0D11)
TRACK = _bgr(0x262E38)
RULE = _bgr(0x2A323D)
TEXT = _bgr(0xECF0F5)
TEXT_SOFT = _bgr(0xA3AEBC)
TEXT_DIM = _bgr(0x75808E)
OUTLINE = _bgr(0x0B0E12)
"""Text on the panel has a contrast of at least 4.5 to 1 (WCAG 2.2, level AA)."""

FOOTER = _bgr(0x1B1A14)
SAND = _bgr(0xF2CE85)
"""What asks for attention, apart from every class."""

SKY = _bgr(0x56B4E9)
AMBER = _bgr(0xE69F00)
VERMILLION = _bgr(0xD55E00)
VERMILLION_DEEP = _bgr(0xB84A00)
SKY_DEEP = _bgr(0x123A4D)
SKY_PALE = _bgr(0xB9E4FB)
SLATE = _bgr(0x303945)
INK = _bgr(0x14100A)
WHITE = _bgr(0xFFFFFF)

CLASS_COLOURS: tuple[Colour, ...] = (
    AMBER,
    SKY,
    _bgr(0xF0E442),
    _bgr(0xCC79A7),
    _bgr(0x009E73),
    VERMILLION,
    _bgr(0x3D8FD1),
    _bgr(0xB4BCC6),
)
"""By place in the labels: the set of Okabe and Ito (2008), whose blue and black are lifted here to
stand out from a dark ground."""


def class_colour(place: int) -> Colour:
    """Return the fixed colour of the class at this place; past eight classes they repeat."""
    return CLASS_COLOURS[place % len(CLASS_COLOURS)]

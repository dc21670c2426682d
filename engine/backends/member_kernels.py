"""One layer of all members as one kernel of our own, written in Triton.

An implicit matrix product: a tile of output places by a tile of channels, over the layer's taps and
input channels; bias, shortcut and ReLU at its end. Where a layer has too few tiles for the card's
processors, its sum is split among several, and a second kernel adds the parts. Pictures and weights
are half precision (fp16 or bf16), sums float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from neurosono.engine.networks.merged import MemberConvolutions

LEAST_CHANNELS = 64
"""A layer's channels are a multiple of a tile's; the stem's three are gathered one by one."""

_LOWEST = -3.0e38
"""No ReLU: what a float32 is no smaller than."""

_SUMMED = 1024
"""Numbers that a processor adds up at a time, where a layer's sum was split."""

_REPEATS, _ROUNDS = 10, 3
"""Of a layer in a graph, and of the graph: a start from Python takes longer than the layer."""


@triton.jit(
    do_not_specialize=[
        "height", "width", "height_out", "width_out", "side", "stride", "padding",
        "added", "splits", "members",
    ]
)  # type: ignore[untyped-decorator, unused-ignore]  # fmt: skip
def _convolve(  # type: ignore[no-untyped-def]  # noqa: PLR0915
    x, weight, bias, shortcut, out,
    x_step, height, width, height_out, width_out, channels, channels_out, reduced,
    side, stride, padding, added, floor, splits, members,
    gather: tl.constexpr, partial: tl.constexpr,
    tile_rows: tl.constexpr, tile_columns: tl.constexpr, depth: tl.constexpr,
):  # fmt: skip
    """x (M or 1, H, W, Cin), weight (M, K, Cout), bias (M, Cout) -> out (M, H', W', Cout).

    `reduced` is K = side * side * Cin. If partial, out is (splits, M, H', W', Cout) float32.
    """
    member = tl.program_id(2) // splits
    part = tl.program_id(2) % splits
    places = height_out * width_out
    rows = tl.program_id(0) * tile_rows + tl.arange(0, tile_rows)
    columns = tl.program_id(1) * tile_columns + tl.arange(0, tile_columns)
    top = (rows // width_out) * stride - padding
    left = (rows % width_out) * stride - padding
    inside = rows < places
    inner = tl.arange(0, depth)
    x += member * x_step
    weight += member * reduced * channels_out
    steps = tl.cdiv(reduced, depth)
    share = tl.cdiv(steps, splits)
    total = tl.zeros((tile_rows, tile_columns), dtype=tl.float32)
    for step in range(part * share, tl.minimum(part * share + share, steps)):
        k = step * depth + inner
        if gather:
            tap = k // channels
            line = top[:, None] + (tap // side)[None, :]
            place = left[:, None] + (tap % side)[None, :]
            known = (k < reduced)[None, :] & inside[:, None]
            known = known & (line >= 0) & (line < height) & (place >= 0) & (place < width)
            at = (line * width + place) * channels + (k % channels)[None, :]
            a = tl.load(x + at, mask=known, other=0.0)
            weights = weight + k[:, None] * channels_out + columns[None, :]
            b = tl.load(weights, mask=(k < reduced)[:, None], other=0.0)
        else:
            tap = (step * depth) // channels
            line = top + tap // side
            place = left + tap % side
            known = inside & (line >= 0) & (line < height) & (place >= 0) & (place < width)
            # said, for the compiler does not see it: else numbers are loaded one by one
            channel = tl.multiple_of((step * depth) % channels, 16)
            at = tl.multiple_of((line * width + place) * channels, 16) + channel
            a = tl.load(x + at[:, None] + inner[None, :], mask=known[:, None], other=0.0)
            b = tl.load(weight + k[:, None] * channels_out + columns[None, :])
        total = tl.dot(a, b, total)
    at = (member * places + rows)[:, None] * channels_out + columns[None, :]
    if partial:
        tl.store(out + part * members * places * channels_out + at, total, mask=inside[:, None])
    else:
        total += tl.load(bias + member * channels_out + columns).to(tl.float32)[None, :]
        taken = inside[:, None] & (added != 0)
        total += tl.load(shortcut + at, mask=taken, other=0.0).to(tl.float32)
        total = tl.maximum(total, floor, propagate_nan=tl.PropagateNan.ALL)
        tl.store(out + at, total.to(out.dtype.element_ty), mask=inside[:, None])


@triton.jit(do_not_specialize=["added", "splits"])  # type: ignore[untyped-decorator, unused-ignore]
def _add_parts(  # type: ignore[no-untyped-def]
    parts, bias, shortcut, out, numbers, each, channels_out, added, floor, splits,
    size: tl.constexpr,
):  # fmt: skip
    """parts (splits, numbers) float32 -> out (numbers,); `each` of them are a member's."""
    at = tl.program_id(0) * size + tl.arange(0, size)
    inside = at < numbers
    row = (at // each) * channels_out + at % channels_out
    total = tl.load(bias + row, mask=inside, other=0.0).to(tl.float32)
    for split in range(splits):
        total += tl.load(parts + split * numbers + at, mask=inside, other=0.0)
    total += tl.load(shortcut + at, mask=inside & (added != 0), other=0.0).to(tl.float32)
    total = tl.maximum(total, floor, propagate_nan=tl.PropagateNan.ALL)
    tl.store(out + at, total.to(out.dtype.element_ty), mask=inside)


@dataclass(frozen=True)
class Tile:
    """How a layer is cut: output places, channels and summands a step, and parts of the sum."""

    rows: int
    columns: int
    splits: int = 1
    warps: int = 4
    stages: int = 4
    depth: int = 64


SHAPES = ((64, 64, 4, 4), (128, 64, 4, 4), (128, 128, 8, 3))
"""Rows, columns, warps and stages that are tried; the first is taken where nothing is timed."""

SPLITS = (1, 2, 4, 8)
_LEAST_STEPS = 4
"""Of a part of the sum: a shorter one only waits for its first."""

_FULL = 4
"""Tiles a processor from which a sum is no longer split."""


class KernelConvolutions(MemberConvolutions):
    """The layer by our own kernel; maps are (M, C, h, w), channels last."""

    tiles: dict[tuple[object, ...], Tile]

    def __init__(
        self, layers: Sequence[nn.Conv2d], tiles: dict[tuple[object, ...], Tile] | None = None
    ) -> None:
        """Take the layers; `tiles` is what was timed before, which others may share."""
        super().__init__(layers)
        self.channels_out, self.channels = self.weight.shape[1:3]
        # (M, Cout, Cin, k, k) -> (M, k k Cin, Cout)
        self.weight = self.weight.permute(0, 3, 4, 2, 1).flatten(1, 3).contiguous()
        self.bias = self.bias.float()
        self.tiles = {} if tiles is None else tiles

    @staticmethod
    def split(maps: Tensor, members: int) -> Tensor:
        """Return maps as (M, C, h, w), which they are."""
        assert len(maps) == members
        return maps

    def forward(self, x: Tensor, shortcut: Tensor | None = None, *, relu: bool = True) -> Tensor:
        """Return (M, Cout, h, w)."""
        key = (self.members, *x.shape, *self.weight.shape, self.stride, x.dtype)
        tile = self.tiles.get(key)
        if tile is None:
            tile = self._find_tile(x) if x.is_cuda else Tile(*SHAPES[0][:2])
            self.tiles[key] = tile
        return self.run(x, shortcut, relu, tile)

    def run(self, x: Tensor, shortcut: Tensor | None, relu: bool, tile: Tile) -> Tensor:
        """Return the layer's maps, cut by `tile`."""
        x = x.contiguous(memory_format=torch.channels_last)
        height, width = x.shape[2:]
        height_out = (height + 2 * self.padding - self.side) // self.stride + 1
        width_out = (width + 2 * self.padding - self.side) // self.stride + 1
        shape = (self.members, self.channels_out, height_out, width_out)
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        whole = tile.splits == 1
        into = out if whole else out.new_empty((tile.splits, out.numel()), dtype=torch.float32)
        beside = out if shortcut is None else shortcut
        added, floor = int(shortcut is not None), 0.0 if relu else _LOWEST
        tiles = (
            triton.cdiv(height_out * width_out, tile.rows),
            self.channels_out // tile.columns,
            self.members * tile.splits,
        )
        _convolve[tiles](
            x, self.weight, self.bias, beside, into,
            0 if len(x) == 1 else x[0].numel(),
            height, width, height_out, width_out, self.channels, self.channels_out,
            self.weight.shape[1], self.side, self.stride, self.padding, added, floor,
            tile.splits, self.members,
            gather=self.channels % tile.depth != 0, partial=not whole,
            tile_rows=tile.rows, tile_columns=tile.columns, depth=tile.depth,
            num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip
        if not whole:
            _add_parts[(triton.cdiv(out.numel(), _SUMMED),)](
                into, self.bias, beside, out, out.numel(), out[0].numel(), self.channels_out,
                added, floor, tile.splits, size=_SUMMED,
            )  # fmt: skip
        return out

    def list_tiles(self, places: int, processors: int) -> list[Tile]:
        """Return what is worth timing for `places` of output on a card of so many processors."""
        found = []
        for rows, columns, warps, stages in SHAPES:
            first = (rows, columns) == SHAPES[0][:2]
            if self.channels_out % columns or (rows > 64 and places <= rows // 2):
                continue
            if self.channels % Tile.depth and not first:
                continue  # gathered: long to compile, and a small part of the network
            count = triton.cdiv(places, rows) * (self.channels_out // columns) * self.members
            for splits in SPLITS:
                steps = triton.cdiv(self.weight.shape[1], 64 * splits)
                if splits == 1 or (count * splits <= _FULL * processors and steps >= _LEAST_STEPS):
                    found.append(Tile(rows, columns, splits, warps, stages))
        return found

    def _find_tile(self, x: Tensor) -> Tile:
        """Return the fastest tile of this layer on this GPU."""
        side = (x.shape[2] + 2 * self.padding - self.side) // self.stride + 1
        processors = torch.cuda.get_device_properties(x.device).multi_processor_count
        times_ms: dict[Tile, float] = {}
        for tile in self.list_tiles(side * side, processors):
            try:
                times_ms[tile] = self._time(x, tile)
            except RuntimeError:  # more of the processor's own memory than it has
                continue
        if not times_ms:
            raise RuntimeError("no tile of the members' own kernel runs on this GPU")
        return min(times_ms, key=times_ms.__getitem__)

    def _time(self, x: Tensor, tile: Tile) -> float:
        self.run(x, None, True, tile)  # compiles, and loads into the GPU
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(_REPEATS):
                self.run(x, None, True, tile)
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        graph.replay()
        begun.record()
        for _ in range(_ROUNDS):
            graph.replay()
        ended.record()
        ended.synchronize()
        return float(begun.elapsed_time(ended)) / (_REPEATS * _ROUNDS)

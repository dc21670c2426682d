"""`python -m tests.chaos.fuzz wire|files|bundles --count N`: what is made wrong must be refused.

Each corpus is made here. Whatever is not read as it should be ends in one of our own errors, with
a sentence; anything else, a crash of a decoder included, is a find and is kept under `--keep`.
"""

import argparse
import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import NeurosonoError, WireError
from neurosono.stream.processes.wire import HEADER, VERSION, pack, unpack
from neurosono.stream.session.trust import Trust
from neurosono.stream.sources import open_source
from tests.stream.processes.test_wire import MESSAGES
from tests.support.bundles import make_bundle
from tests.support.clips import make_screen, write_clip
from tests.support.nonsense import OF_CAPTURE, READY

MEMORY_BYTES = 3 << 30
LIMIT_S = 60
EXTREMES = (0, 1, 0x7F, 0x80, 0xC0, 0xC7, 0xDF, 0xFF)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return bytes that are nearly these: flipped, cut, doubled, or with extremes in them."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(found) + 1) if found else 0
        match rng.randrange(5):
            case 0 if at < len(found):
                found[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(found):
                found[at] = rng.choice(EXTREMES)
            case 2:
                del found[at : at + rng.randrange(1, 40)]
            case 3:
                found[at:at] = found[at : at + rng.randrange(1, 40)]
            case 4:
                found[at : at + 8] = rng.randbytes(8)
    return bytes(found)


def fuzz_wire(count: int, rng: random.Random, keep: Path) -> int:
    """Unpack and check `count` messages; returns how many ended in anything but `WireError`."""
    del keep
    said = [
        *MESSAGES,
        READY,
        *(message for make in OF_CAPTURE.values() for message in make("0" * 32)),
    ]
    corpus = [pack(each) for each in said if not isinstance(each, bytes)]
    trust = Trust(tuple("abcde"), ("capture", "engine"))
    trust.begin_capture("0123456789abcdef0123456789abcdef", 0, 0)
    finds = 0
    for _ in range(count):
        data = corpus[rng.randrange(len(corpus))]
        if (
            rng.random() < 0.7
        ):  # the body alone, with a header that fits: what else is refused early
            header = HEADER.unpack_from(data)
            body = mutate(data[HEADER.size : HEADER.size + header[4]], rng)
            pixels = data[HEADER.size + header[4] :]
            data = HEADER.pack(b"NSNO", VERSION, header[2], 0, len(body), len(pixels), 1)
            data += body + pixels
        else:
            data = mutate(data, rng)
        try:
            message = unpack(data).message
            for check in (trust.check_engine, trust.check_capture):
                with contextlib.suppress(WireError):
                    check(message)
        except WireError:
            pass
        except Exception:  # noqa: BLE001 (that is what is looked for)
            finds += 1
            traceback.print_exc()
    return finds


def make_files(folder: Path) -> list[Path]:
    """Make a small file of each kind."""
    write_clip(folder / "clip.mp4", pictures=6)
    screen = make_screen(0)
    for suffix in ("png", "jpg", "tif", "bmp"):
        cv2.imwrite(str(folder / f"still.{suffix}"), screen)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    grey = np.ascontiguousarray(screen[..., 0])
    data.Rows, data.Columns = grey.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
    data.PixelData = grey.tobytes()
    data.save_as(folder / "clip.dcm", enforce_file_format=True)
    return sorted(folder.iterdir())


def read_file(path: Path) -> None:
    """Read every picture of a file, as a replay does."""
    for _ in open_source([str(path)], frame_threads=False).pictures():
        pass


def fuzz_files(count: int, rng: random.Random, keep: Path) -> int:
    """Read `count` damaged files, each in a process of its own; returns how many were finds."""
    finds = 0
    with tempfile.TemporaryDirectory() as name:
        corpus = [(path.suffix, path.read_bytes()) for path in make_files(Path(name))]
        for number in range(count):
            suffix, data = corpus[number % len(corpus)]
            path = Path(name) / f"damaged{suffix}"
            path.write_bytes(mutate(data, rng))
            finds += _judge(lambda path=path: read_file(path), path, keep / f"{number}{suffix}")
    return finds


def fuzz_bundles(count: int, rng: random.Random, keep: Path) -> int:
    """Open `count` bundles of which one file is damaged; returns how many were finds."""
    finds = 0
    with tempfile.TemporaryDirectory() as name:
        whole, damaged = make_bundle(Path(name) / "whole"), Path(name) / "damaged"
        files = [path.relative_to(whole) for path in sorted(whole.rglob("*")) if path.is_file()]
        shutil.copytree(whole, damaged)
        for number in range(count):
            file = files[number % len(files)]
            content = (whole / file).read_bytes()
            (damaged / file).write_bytes(mutate(content, rng))

            def load() -> None:
                bundle = Bundle.load(damaged)
                bundle.engine("openvino", None, None)

            finds += _judge(load, damaged / file, keep / f"{number}-{file.name}")
            (damaged / file).write_bytes(content)
    return finds


def _judge(act: Callable[[], object], path: Path, keep: Path) -> bool:
    """Act in a process of its own; returns whether it ended as nothing may."""
    child = os.fork()
    if child == 0:
        os._exit(_act(act))
    _, status = os.waitpid(child, 0)
    if status == 0:
        return False
    how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "an error of no kind"
    sys.stdout.write(f"{path.name}: {how}\n")
    keep.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, keep)
    return True


def _act(act: Callable[[], object]) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LIMIT_S)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        act()
    except NeurosonoError:
        return 0
    except BaseException:  # noqa: BLE001 (that is what is looked for)
        traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        return 1
    return 0


KINDS = {"wire": fuzz_wire, "files": fuzz_files, "bundles": fuzz_bundles}


def main(arguments: list[str] | None = None) -> int:
    """Run one fuzzer; exit with 1 where it found anything."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.fuzz", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("finds"))
    asked = parser.parse_args(arguments)
    finds = KINDS[asked.kind](asked.count, random.Random(asked.seed), asked.keep)
    sys.stdout.write(f"{asked.kind}: {asked.count} tried, {finds} finds\n")
    return int(finds > 0)


if __name__ == "__main__":
    raise SystemExit(main())

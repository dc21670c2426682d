"""Broken engines, and a GPU without room: each ends in one clear sentence or on another engine."""

import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from neurosono.scripts.gpu_check.pipeline_bundle import Check, add_foreign_engine, truncate_weights
from neurosono.scripts.gpu_check.pipeline_commands import (
    LiveRun,
    gpu_used_up,
    name_now,
    read_moment,
    run_command,
)
from neurosono.scripts.gpu_check.record import Found

FAULT_S = 25.0
"""In which a broken engine must have said so."""


def start_live(check: Check, name: str) -> AbstractContextManager[LiveRun]:
    """Start a session that reads the clip again and again."""
    source, engine = f"loop:{check.clip}", check.scale.engine_words
    return LiveRun.start(check.work / name, source, "--bundle", check.bundle, *engine)


def replay(check: Check, bundle: Path, engine: str) -> Found:
    """Replay a clip; return how that ended, what judged, and whether it is one clear sentence."""
    out = Path(tempfile.mkdtemp(dir=check.work)) / "out"
    given = ("--bundle", bundle, "--engine", engine, "--no-video", "--out", out)
    said = run_command("replay", check.clip, *given, limit_s=check.limit(FAULT_S))
    path = out / "exam.json"
    judged = json.loads(path.read_text()).get("engine") if path.is_file() else None
    clear = said.code is not None and "Traceback" not in said.words
    return said.to_json() | {
        "engine": judged,
        "clear": clear and (said.code == 0 or bool(said.last)),
    }


def break_engines(check: Check) -> Found:
    """Replay with torn weights, a torn engine and another card's, by name and by `auto`."""
    at, own = check.work, check.scale.engine
    noise = os.urandom(1 << 20)
    torn = truncate_weights(check.bundle, at / "torn", sworn=False)
    sworn = truncate_weights(check.bundle, at / "sworn", sworn=True)
    other = add_foreign_engine(check.bundle, at / "other", "tensorrt", "model.engine", noise)
    rtx = add_foreign_engine(check.bundle, at / "rtx", "tensorrt-rtx", "ampere.engine", noise)
    cases = {
        "weights_torn": (torn, own),
        "weights_torn_and_sworn_to": (sworn, own),
        "weights_torn_and_sworn_to_auto": (sworn, "auto"),
        "other_cards_engine": (other, "tensorrt"),
        "other_cards_engine_auto": (other, "auto"),
        "rtx_engine_torn": (rtx, "tensorrt-rtx"),
        "rtx_engine_torn_auto": (rtx, "auto"),
    }
    with ThreadPoolExecutor(4 if check.on_card else 1) as pool:
        begun = {name: pool.submit(replay, check, *case) for name, case in cases.items()}
        found: Found = {name: each.result() for name, each in begun.items()}
    unclear = [name for name, each in found.items() if not each["clear"]]
    return found | {"in_short": f"{len(found)} cases, not clear: {unclear}"}


def use_up_memory(check: Check) -> Found:
    """Start while another process holds the GPU's memory: by name, and by `auto`."""
    with gpu_used_up(20.0) as held_gb:
        found: Found = {
            "by_name": replay(check, check.bundle, check.scale.engine),
            "auto": replay(check, check.bundle, "auto"),
        }
    ends = ", ".join(str(each["said"])[:160] for each in found.values())
    return found | {"held_gb": held_gb, "in_short": f"{held_gb:.0f} GB held: {ends}"}


def use_up_memory_beside(check: Check) -> Found:
    """Take all that is left of the GPU's memory while a session runs: it must go on."""
    with start_live(check, "beside") as live:
        if live.wait_for_ai(check.limit(40.0)) is None:
            return {"failed": f"the AI never was on: {live.finish(5.0)['said']}"}
        taken = name_now()
        with gpu_used_up(15.0) as held_gb:
            time.sleep(2.0)
            found = live.finish(check.limit(15.0))
        told = [each for each in live.hear() if read_moment(each) >= taken]
    off = [each for each in told if each.get("part") == "ai" and each["value"] == "off"]
    words_of = f"{held_gb:.0f} GB taken beside it, AI OFF {len(off)} times"
    return found | {"held_gb": held_gb, "events": told, "in_short": words_of}

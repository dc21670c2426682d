"""The node's ears: C-ECHO, C-STORE of all that we can decode, requests for storage commitment."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom import uid
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import Verification

from neurosono.engine.contracts.errors import InputError, NeurosonoError, OutputError
from neurosono.node.arriving import arriving_in
from neurosono.node.committing import NOT_ALLOWED, Committing
from neurosono.node.door import HANDSHAKE_S, IDLE_S, Door
from neurosono.node.options import Limits, Listening
from neurosono.node.refusals import Refusals, explain_contexts
from neurosono.node.spool import Spool
from neurosono.stream.hospital.commitment import COMMITMENT
from neurosono.stream.hospital.entity import Entity
from neurosono.stream.sources.clip import OwnResultError
from neurosono.stream.sources.dicom.header import READ_FAILURES, read_header
from neurosono.stream.sources.limits import MediaLimits

CLASSES = (
    uid.UltrasoundImageStorage,
    uid.UltrasoundMultiFrameImageStorage,
    "1.2.840.10008.5.1.4.1.1.6",
    "1.2.840.10008.5.1.4.1.1.3",
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    uid.VideoEndoscopicImageStorage,
    uid.VideoMicroscopicImageStorage,
    uid.VideoPhotographicImageStorage,
)
"""Ultrasound (the two retired classes too, which old scanners send), secondary capture but that of
one bit, which nothing here decodes, video."""
SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.RLELossless,
    *uid.MPEGTransferSyntaxes,
)
MOST_ASSOCIATIONS = 100
"""Senders at once; one more is told to come again."""
LARGEST_PDU = 131_072
STORED, FULL, MISFIT, UNREADABLE = 0x0000, 0xA700, 0xA900, 0xC000
"""PS3.4 table B.2-1."""


class Receiver:
    """Answers senders, each on a thread of its own."""

    def __init__(
        self, spool: Spool, limits: Limits, media: MediaLimits, listening: Listening | None = None
    ) -> None:
        """Without `listening`, whoever comes in may store."""
        self._spool, self._limits, self._media = spool, limits, media
        self._listening = listening
        self.refusals = Refusals()

    def store(self, event: evt.Event) -> int | Dataset:
        """Take one instance: what is answered is on the disk, or refused with a reason."""
        path = Path(event.dataset_path)
        sender = str(event.assoc.requestor.ae_title).strip()
        status, why = self._store(path, str(event.request.AffectedSOPInstanceUID), sender)
        if status == STORED:
            return status
        self.refusals.note(sender, why)
        path.unlink(missing_ok=True)
        answer = Dataset()
        answer.Status, answer.ErrorComment = status, why[:64]
        return answer

    def _store(self, path: Path, instance: str, sender: str) -> tuple[int, str]:
        if refused := self._refuse(path, sender):
            return refused
        try:
            if shutil.disk_usage(self._spool.folder).free < self._limits.least_free_bytes:
                return FULL, "the disk is nearly full: send it again later"
            study = _find_study(path)
            if not study:
                return MISFIT, "it names no study"
            read_header(path, self._media)
            self._spool.store(study, instance, sender, path, self._spool.now_ns())
        except OwnResultError:  # from a PACS that sends on what it gets; judged, it would come anew
            path.unlink(missing_ok=True)
        except OutputError as error:
            return FULL, str(error)
        except NeurosonoError as error:
            return UNREADABLE, str(error)
        except READ_FAILURES:
            return UNREADABLE, "it cannot be read as DICOM"
        except OSError as error:
            return FULL, f"it cannot be kept: {error.strerror}"
        return STORED, ""

    def _refuse(self, path: Path, sender: str) -> tuple[int, str] | None:
        """Return why nothing is taken from this sender now, whatever it is."""
        most = self._limits.most_waiting
        if self._listening is not None and not self._listening.admits(sender):
            return NOT_ALLOWED, "it may report here, and not store"
        if not path.exists():
            return FULL, "the disk is full: send it again later"
        if self._spool.count_waiting() > most:
            return FULL, f"over {most} studies wait: send it again later"
        return None


@contextmanager
def listen(
    listening: Listening, receiver: Receiver, incoming: Path, committing: Committing | None = None
) -> Iterator[int]:
    """Serve until the block ends; yields the port. Raises `InputError` where it cannot be had."""
    with arriving_in(incoming), _serve(listening, receiver, committing) as port:
        yield port


@contextmanager
def _serve(
    listening: Listening, receiver: Receiver, committing: Committing | None
) -> Iterator[int]:
    entity = Entity(ae_title=listening.title)
    entity.maximum_associations = MOST_ASSOCIATIONS
    entity.maximum_pdu_size = LARGEST_PDU
    entity.network_timeout = IDLE_S
    entity.acse_timeout = HANDSHAKE_S
    entity.require_called_aet = True
    entity.require_calling_aet = list(listening.allowed)
    entity.add_supported_context(Verification)
    for each in CLASSES:
        entity.add_supported_context(each, list(SYNTAXES))
    tls = None if listening.tls is None else listening.tls.make_context(listening=True)
    handlers: list[Any] = [(evt.EVT_C_STORE, receiver.store), (evt.EVT_CONN_CLOSE, _let_go)]
    handlers.append((evt.EVT_REJECTED, _note_rejected, [listening, receiver.refusals]))
    handlers.append((evt.EVT_ACCEPTED, _note_accepted, [receiver.refusals]))
    if committing is not None:
        entity.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
        handlers += [(evt.EVT_N_ACTION, committing.ask), (evt.EVT_N_EVENT_REPORT, committing.hear)]
        if listening.allowed:
            entity.require_calling_aet = [*listening.allowed, *committing.reporters]
    address = (listening.host, listening.port)
    try:
        given = entity, address, listening.title, entity.supported_contexts, tls, handlers
        server = Door(*given, on_stranger=receiver.refusals.note)
    except OSError as error:
        raise InputError(
            f"cannot listen on {listening.host}:{listening.port} ({error.strerror or error}); "
            "choose another --port or --host"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="door", daemon=True)
    thread.start()
    try:
        yield int(server.socket.getsockname()[1])
    finally:
        server.shutdown()
        thread.join()


def _let_go(event: evt.Event) -> None:
    """Wait no longer for a request of who has hung up: the library holds such a place for it."""
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(None)


def _note_rejected(event: evt.Event, listening: Listening, refusals: Refusals) -> None:
    asked = event.assoc.requestor.primitive
    sender, called = str(asked.calling_ae_title).strip(), str(asked.called_ae_title).strip()
    if called != listening.title:
        why = f"it calls another title than {listening.title}"
    elif not listening.admits(sender):
        why = "nobody said --allow of it"
    else:
        why = f"{MOST_ASSOCIATIONS} associations are open"
    refusals.note(sender, why)


def _note_accepted(event: evt.Event, refusals: Refusals) -> None:
    if why := explain_contexts(event.assoc):
        refusals.note(str(event.assoc.requestor.ae_title).strip(), why)


def _find_study(path: Path) -> str:
    found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
    return str(found.get("StudyInstanceUID") or "")

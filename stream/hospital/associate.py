"""Associations that we ask for: with TLS where the node is so named, and why there is none."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.stream.hospital.node import Node
from neurosono.stream.hospital.tls import tell_tls

if TYPE_CHECKING:
    from pynetdicom import Association
    from pynetdicom.events import Event
    from pynetdicom.pdu_primitives import P_DATA

TRANSIENT = 0x02
"""Of a rejection (PS3.8, 9.3.4): not now, but perhaps later."""
OPEN = "Sta6"
"""The state of a connection over which data go (PS3.8, 9.2.1)."""
MOST_PARTS = 32
"""Parts of an object, 16 to 128 kB as a rule, that wait in memory for a peer to read them."""


def associate(
    node: Node,
    contexts: Mapping[str, Sequence[str] | None],
    timeout_s: float,
    error: type[NeurosonoError],
    *,
    as_scp: Sequence[str] = (),
    handlers: Sequence[Any] = (),
) -> "Association":
    """Return an association for these classes, each with its transfer syntaxes or the usual ones.

    Of the classes in `as_scp` we are the side that provides; `handlers` hear what comes of itself.
    Raises `error` that says why there is none, `InputError` where the TLS files cannot be used.
    """
    from pynetdicom import build_role, evt

    from neurosono.stream.hospital.entity import Entity

    entity = Entity(ae_title=node.own_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout_s
    entity.connection_timeout = timeout_s
    for each, syntaxes in contexts.items():
        if syntaxes is None:
            entity.add_requested_context(each)
        else:
            entity.add_requested_context(each, list(syntaxes))

    def bound(event: "Event") -> None:
        # the library waits for ever on a peer that stopped to read
        if event.assoc.dul.socket is not None and event.assoc.dul.socket.socket is not None:
            event.assoc.dul.socket.socket.settimeout(timeout_s)

    tls_args = None
    if node.tls is not None:
        tls_args = (node.tls.make_context(listening=False), node.host)
    association = entity.associate(
        *(node.host, node.port),
        ae_title=node.title,
        tls_args=tls_args,
        ext_neg=[build_role(each, scp_role=True) for each in as_scp],
        evt_handlers=[(evt.EVT_CONN_OPEN, bound), *handlers],
    )
    if not association.is_established:
        raise error(f"{node.where} {_tell_refusal(association, node)}")
    _go_with_peer(association)
    return association


def _go_with_peer(association: "Association") -> None:
    """Read an object as fast as the peer takes it: the library would hold all of it in memory."""
    upper = association.dul
    send, waiting, state = upper.send_pdu, upper.to_provider_queue, upper.state_machine

    def send_slowly(part: "P_DATA") -> None:
        while waiting.qsize() > MOST_PARTS and upper.is_alive() and state.current_state == OPEN:
            time.sleep(0.001)
        send(part)

    upper.send_pdu = send_slowly


def _tell_refusal(association: "Association", node: Node) -> str:
    """Return why there is no association; whether anybody listens is asked only then."""
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None and answer.result == TRANSIENT:
        return "is busy: it takes no more associations at present"
    if answer is not None and not association.is_rejected:
        names = ", ".join(
            each.abstract_syntax.name for each in association.requestor.requested_contexts
        )
        return f"takes none of {names}"
    if association.is_rejected:
        return f"refuses us: does it know the AE title {node.own_title}?"
    try:
        said = tell_tls(node.tls, node.host, node.port)
    except OSError as error:
        return f"is not there: {error.strerror or error}"
    return said or f"does not answer as a DICOM node: does it know the AE title {node.own_title}?"

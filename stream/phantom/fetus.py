"""The fetus that a specification asks for: drawn by its numbers, then given what was asked for."""

from neurosono.stream.phantom.findings import draw_finding, give_finding
from neurosono.stream.phantom.head import size_ventricles, widest_ventricle_mm
from neurosono.stream.phantom.patient import Patient, draw_patient, random_stream
from neurosono.stream.phantom.spec import PhantomSpec


def find_fetus(spec: PhantomSpec) -> Patient:
    """Return the fetus; raise `InputError` where it has no room for, or no age of, what is asked.

    With a finding it has it, and ventricles of a width that goes with it.
    """
    key = (spec.namespace, spec.seed, spec.patient)
    fetus = draw_patient(*key)
    if spec.finding is None:
        return size_ventricles(fetus, spec.ventricle_mm)
    rng = random_stream(*key, "finding-width")
    finding = draw_finding(spec.finding, *key)
    return give_finding(fetus, finding, widest_ventricle_mm(fetus), rng)

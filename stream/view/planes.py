"""The standard planes of a neurosonogram, as far as a bundle's gate can name them."""

STANDARD: dict[str, str] = {
    "transthalamic": "thalami",
    "transventricular": "ventricles",
    "transcerebellar": "cerebellum",
    "spine-sagittal": "spine",
}
"""What a gate may call a frame, and what it shows in a word: the four of Qi et al. 2025 (section
2.1). Whatever else a gate says, such as `other`, is no plane that has to be seen."""

SEEN_FRAMES = 3
"""So many used frames make a plane seen: one alone may be a slip of the gate."""

CAUTION = "learnt on phantoms"
"""What stands wherever a plane is named, as long as no gate was trained on real examinations."""

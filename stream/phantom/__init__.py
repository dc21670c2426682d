"""Synthetic prenatal exams: labelled, repeatable, and nobody's patient."""

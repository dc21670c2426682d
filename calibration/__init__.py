"""Offline: held-out predictions in, calibrated bundle and low-precision engines out."""

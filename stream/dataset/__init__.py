"""Folders and tables of patients, and the frames extracted from them."""

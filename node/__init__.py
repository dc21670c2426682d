"""A DICOM node: takes cines, judges each study as it completes, and stores the results."""

"""The files of a model: which are meant, and the archive that they are sent in."""

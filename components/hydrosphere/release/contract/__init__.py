"""The file in which users say what goes into a model and what comes out."""

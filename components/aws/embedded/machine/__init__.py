"""How commands run on this machine: processes, their certain end, their output, their folders."""

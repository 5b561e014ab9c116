"""Who sends a release: our own client, or hydrosdk in a process beside us."""

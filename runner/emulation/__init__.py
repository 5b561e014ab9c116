"""What the providers' embedded clouds share: servers on loopback that behave as the real ones do, for trying and for tests.

    faults     failures on order
    journal    what clients asked, within bounds
    control    the routes under `/_embedded` by which tests reach both
    loopback   listening on this machine only, and not to its web pages
    tasks      the owner of the work that goes on behind the answers
    paths      names that others chose, kept inside a folder
    archives   tar.gz files that others packed
    nesting    how deep JSON is

It knows no cloud, and nothing else of the engine uses it.
"""

"""Sinks: who is told what.

    events  ─► console     a person: the pod log or a pipe (plain lines), or a terminal (live footer)
            ─► kfp_ui      the Kubeflow Pipelines UI: summary, metrics, trials and their plot; read when the step has ended
            ─► jsonl       a program: one JSON object a line, schema included
    outputs ─► outputs     the pipeline: the output files, written once, at the end

Behind them: `text` makes hostile job text safe to show, `words` says times and numbers, `narrate` turns
events into lines, `search` knows which trial is the best, `pump` writes on a thread of its own so that a stalled
reader holds nothing up, `kfp_page` knows the UI's rules, `plot` draws a search, with `scale` for its axes, `files`
replaces files atomically.

This package imports nothing by itself. Only `console.live` imports rich, and only a terminal imports that.
"""

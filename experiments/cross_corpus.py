from serjax.cli import run  # the same as `serjax cross-corpus`

run("cross-corpus")

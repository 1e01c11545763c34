from serjax.cli import run  # the same as `serjax cross-validate`

run("cross-validate")

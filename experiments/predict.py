from serjax.cli import run  # the same as `serjax predict`

run("predict")

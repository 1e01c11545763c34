from serjax.cli import run  # the same as `serjax anti-transfer`

run("anti-transfer")

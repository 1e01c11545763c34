from serjax.cli import run  # the same as `serjax compare`

run("compare")

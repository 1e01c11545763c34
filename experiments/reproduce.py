from serjax.cli import run  # the same as `serjax reproduce`

run("reproduce")

from serjax.cli import run  # the same as `serjax train`

run("train")

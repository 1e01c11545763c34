from serjax.cli import run  # the same as `serjax pretrain`

run("pretrain")

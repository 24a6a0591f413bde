"""`python -m svcnorm` is the command line."""

from svcnorm.cli import main

main(prog_name="svcnorm")

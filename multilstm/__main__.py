"""`python -m multilstm` is `multilstm`."""

from multilstm.cli import main

main()

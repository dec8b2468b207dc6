"""`python -m gateway`: the command line, for where the `bailiwick` script is not on the path."""

from gateway.cli.main import main

if __name__ == "__main__":
    main()

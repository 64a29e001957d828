"""`python -m scanprior`; `torchrun -m scanprior train` starts it once a GPU."""

from .cli.main import main

if __name__ == "__main__":
    main()

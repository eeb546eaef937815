"""`python -m rfm`, the same as `rfm`."""

from rfm.cli import main

if __name__ == "__main__":
    main()

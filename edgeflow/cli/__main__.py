"""``python -m edgeflow.cli``."""

from edgeflow.cli.main import main

if __name__ == "__main__":
    main()

"""`python -m services.gateway`: one gateway, told everything by its environment."""

import sys

from services.gateway.service import run

if __name__ == "__main__":
    sys.exit(run())

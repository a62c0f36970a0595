"""`python -m easymft`: the `easymft` command.

The command belongs to the applications, so this file, which nothing imports, is the one place of the library that knows
them.
"""

import sys

from app_zoo.main import main

if __name__ == "__main__":
    sys.exit(main())

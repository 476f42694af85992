"""``python -m tl.cli`` is ``tl``."""

from tl.cli.main import main

main()

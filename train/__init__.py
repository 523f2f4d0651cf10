"""Commands that train, and what they are made of."""

import sys

if sys.argv[:1] == ["-m"]:  # `python -m train.…`, of which the module is still looked for
    # Before other libraries start threads, see there.
    from train.command.malloc import keep_freed_memory

    keep_freed_memory()

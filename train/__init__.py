"""Commands that train, and what they are made of."""

import signal
import sys

if sys.argv[:1] == ["-m"]:  # `python -m train.…`, of which the module is still looked for
    # Ctrl-C during the seconds of importing is no error; later `train.command.signals` listens.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    # Before other libraries start threads, see there.
    from train.command.malloc import keep_freed_memory

    keep_freed_memory()

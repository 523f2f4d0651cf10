import sys

if sys.argv[:1] == ["-m"]:  # `python -m train.…`, of which the module is still looked for
    # Before other libraries start threads, see there.
    from train.heap import keep_freed_memory

    keep_freed_memory()

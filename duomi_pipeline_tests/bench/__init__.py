"""`make bench`: the pipeline beside references, in the same run, on the same sandbox in a process of its own."""

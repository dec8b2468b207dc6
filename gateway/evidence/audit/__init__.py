"""The parts of the verifier (`gateway/evidence/verify.py`), which import core and readers only.

    index     where every checkpoint lies, by size
    segment   one segment by itself, line by line
    state     what the records of a segment so far amount to
    kinds     what each kind of record must satisfy
    runs      where runs begin and end, and what crashes left
    clock     steps of the clock, silences
    bounds    times of records against the times of witnesses
    heads     checkpoints: form, signature, root
    files     blobs and compressed segments
    live      whether somebody is writing
    sum       segments put together, and the report

Does not repair and does not judge what calls say.
"""

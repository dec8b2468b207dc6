"""The parts of the verifier (`gateway/evidence/verify.py`), which import core and readers only.

    index     where every checkpoint lies, by size
    segment   one segment by itself, line by line
    kinds     what each kind of record must satisfy
    clock     steps of the clock, silences
    heads     checkpoints: form, signature, root
    files     blobs and compressed segments
    sum       segments put together, and the report

Does not repair and does not judge what calls say.
"""

"""The data plane: ASGI in, pipeline, ASGI out.

Every request ends as an answer of the pipeline; what cannot be understood is refused, and a bug is
a refused call too. Does not decide, and knows no adapter.
"""

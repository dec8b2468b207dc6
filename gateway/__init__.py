"""Bailiwick: a gateway that keeps every AI agent inside its own bailiwick.

The straight line, for every call:

    admit → decode → authenticate → situate → decide → record intent → equip → send
          → check → record outcome → encode

What is not explicitly allowed is denied; a failure of any step is a denied call; evidence of the
intent is on disk before the upstream sees a byte. The rooms, from the lowest floor up (a module
imports only from floors below its own):

    core       values, formats and rules; pure                                          floor 0
    ports      what the pipeline needs from the world                                   floor 1
    settings   bailiwick.toml, read strictly                                            floor 1
    wire       bytes to calls and refusals to bytes; no I/O                             floor 1
    policy     the bundle, and the engine that decides on it                            floor 2
    identity   who is calling                                                           floor 2
    ledger     what is held for a person                                                floor 2
    evidence   the log: writer, segments, and the verifier that trusts only core        floor 2
    upstream   what sends a decided call                                                floor 2
    exchange   the way back of one call: outcome and answer                             floor 3
    pipeline   the straight line                                                        floor 3
    wiring     chooses the adapters                                                     floor 4
    starter    a folder to start from                                                   floor 4
    app        the data plane: ASGI in, pipeline, ASGI out                              floor 5
    demo       a small company with an MCP server, and an agent that tries things       floor 5
    cli        the commands                                                             floor 6
"""

__version__ = "0.1.0"

"""The evidence log: JSON Lines segments, chained, a Merkle tree, signed, durable before the effect.

Reading, which an auditor has to trust (`verify` imports core and these only):

    segments, chain, find   names and lines; what the next line must satisfy; looking records up
    verify, audit, report   the thirteen steps, and what they found
    prove, schema, opened   a proof of one record; what records hold; what was sealed, opened again

Writing:

    disk, logfile           the system calls that can fail; a file that only grows
    plan, space, signer     how a log is kept; what a full disk still takes; keys, one an epoch
    draft, appender         records linked; the open segment and the head of the log
    heads, tree             checkpoints signed when due; the hashes of the tree, for proofs
    recovery, torn, vouched what a crash left, made whole again; what earlier signatures cover
    opening                 the start of a run
    writer                  group commit: one thread, one sync a batch
    sealing, blobs, recorder  nothing reaches the writer that has not passed redaction
    anchoring, retention    a second place for checkpoints; for sealed segments
    keeping                 all of it together, as settings say

The log is tamper-evident, not tamper-proof: what no anchor has seen can be cut off or, by the
holder of the key, rewritten unseen. Does not decide what is recorded: the pipeline does.
"""

"""The evidence log: JSON Lines segments, hash-chained, durable before anything happens.

    segments    names of segments, and their lines one by one
    chain       what the next line of a log must satisfy
    disk        the system calls that can fail, and the lock that keeps writers apart
    recovery    what a crash left, made whole again without hiding it
    draft       records linked but not written
    appender    the open segment and the head of the chain
    writer      group commit: one thread, one sync a batch, nothing acknowledged before it
    verify      the auditor's check, and its report; with segments and chain it imports core only

The log is tamper-evident, not tamper-proof: what is after the last record that somebody else has
seen can be cut off unseen. Does not decide what is recorded: the pipeline does.
"""

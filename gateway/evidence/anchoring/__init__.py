"""Checkpoints delivered to a second place: a file on another volume, a witness on another host.

    anchors         the newest checkpoint to every anchor, off the writer's thread
    anchor          what an anchor is
    anchor_file     a file
    witness_client  a witness (https://c2sp.org/tlog-witness)
    anchored        what anchors confirmed, kept beside the log
    durable         lines appended so that they stay

Does not sign checkpoints and does not stop calls when an anchor fails.
"""

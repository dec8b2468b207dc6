"""What becomes of sealed segments: compressed, shipped, read back, and only then deleted here.

    keeper    a pass over what is due
    archive   compression, safe against a crash at any step
    holdings  where each segment is, as the log says
    shipping  what goes into a store with a segment
    stores    a folder, a bucket
    hold      the legal hold

Does not delete anything in a store.
"""

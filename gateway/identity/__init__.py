"""Who is calling: the one room that turns an `UnverifiedToken` into `Claims`.

An identity comes from a verified credential of a configured issuer and from nothing else. Only this
room calls PyJWT. Does not authorize: a verified workload may still do nothing.
"""

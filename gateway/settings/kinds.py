"""The kinds of values that several tables of the settings use."""

from typing import Annotated, Literal

from msgspec import Meta

Algorithm = Literal["RS256", "PS256", "ES256", "ES384", "EdDSA"]
"""Asymmetric signatures only; a shared secret would let the verifier mint."""
Name = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,62}\Z")]
Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]
Percent = Annotated[float, Meta(ge=0, le=100)]

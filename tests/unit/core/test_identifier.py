import re
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.identifier import ENTROPY_BYTES, uuid7

INSTANTS = st.integers(min_value=0, max_value=(2**48 - 1) * 1_000_000)
ENTROPY = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)


def test_the_example_of_the_standard_comes_out_byte_for_byte() -> None:
    """RFC 9562 appendix A.6: 2022-02-22T19:22:22.000Z, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F."""
    entropy = bytes.fromhex("0CC3" + "18C4DC0C0C07398F")
    made = uuid7(1_645_557_742_000_000_000, entropy)
    assert made == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(INSTANTS, ENTROPY)
def test_version_and_variant_are_those_of_the_standard(now_ns: int, entropy: bytes) -> None:
    """RFC 9562 §4.1, §4.2, whatever the randomness."""
    made = UUID(uuid7(now_ns, entropy))
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == now_ns // 1_000_000


@given(INSTANTS, ENTROPY, ENTROPY)
def test_a_later_millisecond_sorts_later_as_text(now_ns: int, first: bytes, second: bytes) -> None:
    """RFC 9562 §5.7: sorts by time."""
    later = now_ns + 1_000_000
    if later < 2**48 * 1_000_000:
        assert uuid7(now_ns, first) < uuid7(later, second)


@given(ENTROPY, ENTROPY)
def test_74_bits_of_randomness_are_kept(first: bytes, second: bytes) -> None:
    """RFC 9562 §5.7: only the six bits of version and variant are lost."""
    mask = (0x0FFF << 64) | (2**62 - 1)
    same = int.from_bytes(first, "big") & mask == int.from_bytes(second, "big") & mask
    assert (uuid7(0, first) == uuid7(0, second)) == same


@given(INSTANTS, ENTROPY)
def test_the_text_is_lower_case_and_hyphenated(now_ns: int, entropy: bytes) -> None:
    """RFC 9562 §4."""
    groups = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(groups, uuid7(now_ns, entropy))

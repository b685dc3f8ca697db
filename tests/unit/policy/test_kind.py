import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy.kind import FAMILIES, KindError, SocketKind, is_judged, parse_kind, real_family


def covers(rows, type_, protocol):
    return any((t is None or type_ in t) and (p is None or protocol in p) for t, p in rows)


STREAM, DGRAM, RAW, SEQPACKET, DCCP, PACKET = 1, 2, 3, 5, 6, 10
TCP, UDP, ICMP, ICMPV6, SCTP, UDPLITE, MPTCP, SMC = 6, 17, 1, 58, 132, 136, 262, 256


@pytest.mark.parametrize("family", ["inet", "inet6"])
def test_plain_inet_is_what_rules_on_addresses_can_judge(family):
    rows = parse_kind(family).rows()
    judged = [(STREAM, 0), (STREAM, TCP), (DGRAM, 0), (DGRAM, UDP), (DGRAM, UDPLITE), (DGRAM, ICMP), (DGRAM, ICMPV6)]
    others = [(RAW, TCP), (STREAM, MPTCP), (STREAM, SCTP), (SEQPACKET, 0), (DCCP, 0), (STREAM, SMC), (PACKET, 3)]
    assert all(covers(rows, *each) and is_judged(*each) for each in judged)
    assert not any(covers(rows, *each) or is_judged(*each) for each in others)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("inet:stream", [(STREAM, 0), (STREAM, TCP)], [(STREAM, MPTCP), (DGRAM, 0)]),
        ("inet:dgram", [(DGRAM, 0), (DGRAM, UDP)], [(DGRAM, ICMP), (STREAM, 0)]),
        ("inet:icmp", [(DGRAM, ICMP)], [(DGRAM, 0), (RAW, ICMP)]),
        ("inet:udplite", [(DGRAM, UDPLITE)], [(DGRAM, 0)]),
        ("inet:raw", [(RAW, 0), (RAW, ICMP)], [(STREAM, 0)]),
        ("inet:mptcp", [(STREAM, MPTCP)], [(STREAM, 0)]),
        ("inet:sctp", [(STREAM, SCTP), (SEQPACKET, SCTP), (SEQPACKET, 0)], [(STREAM, 0)]),
        ("inet:dccp", [(DCCP, 0), (DCCP, 33)], [(STREAM, 0)]),
        ("inet:smc", [(STREAM, SMC)], [(STREAM, 0)]),
        ("inet:115", [(DGRAM, 115)], [(DGRAM, 0)]),
        ("inet:*", [(RAW, 0), (STREAM, MPTCP), (PACKET, 3)], []),
        ("unix", [(STREAM, 0), (DGRAM, 0), (SEQPACKET, 0)], []),
        ("unix:stream", [(STREAM, 0)], [(DGRAM, 0)]),
        ("netlink:route", [(RAW, 0), (DGRAM, 0)], [(RAW, 9)]),
        ("netlink:9", [(RAW, 9)], [(RAW, 0)]),
        ("netlink", [(RAW, 0), (RAW, 9)], []),
        ("packet", [(RAW, 0x300), (DGRAM, 0)], []),
    ],
)
def test_allowed_kinds_mean_what_they_say(text, inside, outside):
    rows = parse_kind(text).rows()
    assert all(covers(rows, *each) for each in inside)
    assert not any(covers(rows, *each) for each in outside)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("inet", [(RAW, 0), (STREAM, MPTCP), (SEQPACKET, 0)]),
        ("inet:stream", [(STREAM, MPTCP), (STREAM, SCTP)]),
        ("inet:dgram", [(DGRAM, ICMP)]),
    ],
)
def test_denied_kinds_take_the_unnamed_ones_along(text, inside):
    assert all(covers(parse_kind(text).wide_rows(), *each) for each in inside)


def test_denying_a_special_kind_denies_nothing_else():
    assert not covers(parse_kind("inet:mptcp").wide_rows(), STREAM, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo", "must be a family"),
        ("", "must be a family"),
        ("INET", "must be a family"),
        ("inet:foo", 'after "inet:" comes one of .*mptcp.* or a protocol number'),
        ("inet:", 'after "inet:"'),
        ("unix:raw2", 'after "unix:" comes one of .*stream'),
        ("unix:5", 'after "unix:"'),
        ("netlink:foo", 'after "netlink:" comes one of .*route'),
    ],
)
def test_errors_say_what_was_expected(text, message):
    with pytest.raises(KindError, match=message):
        parse_kind(text)


@given(st.text(max_size=20) | st.tuples(st.sampled_from([*FAMILIES, "44", "0"]), st.text("0123456789", max_size=4) |
       st.sampled_from(["*", "stream", "raw", "mptcp", "route"])).map(":".join))  # fmt: skip
def test_any_text_is_a_kind_or_a_named_error(text):
    try:
        outcome = parse_kind(text)
    except KindError as error:
        outcome = str(error)
    assert outcome
    if isinstance(outcome, SocketKind):
        assert parse_kind(str(outcome)) == outcome
        assert outcome.rows()
        assert outcome.wide_rows()


def test_families_may_be_numbers_and_keep_their_names():
    assert parse_kind("17") == SocketKind(17)
    assert str(SocketKind(17)) == "packet"
    assert str(SocketKind(99)) == "99"


@pytest.mark.parametrize("text", ["inet", "inet6:icmp", "inet:raw", "netlink:route", "packet", "unix", "inet:mptcp"])
def test_the_example_is_of_its_kind(text):
    kind = parse_kind(text)
    family, type_, protocol = kind.example()
    assert family == kind.family
    assert covers(kind.rows(), type_, protocol)


def test_the_old_way_to_a_packet_socket_is_seen():
    assert real_family(2, PACKET) == 17
    assert real_family(10, PACKET) == 10
    assert real_family(2, STREAM) == 2

"""Which URIs may be opened: a whitelist, because libvirt runs commands that a URI names."""

import ipaddress
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hosts.domain.uri import BadHostUri, Endpoint, canonical_host, endpoint, parse_uri

REAL = ("qemu+tls", "qemu+tcp", "qemu+ssh")
DEMO = (*REAL, "test+tcp")

#: All that a canonical URI can look like, written down a second time and in another way.
CANONICAL = re.compile(
    r"(qemu\+(tls|tcp)://|qemu\+ssh://([A-Za-z_][A-Za-z0-9_-]{0,31}@)?)"
    r"([a-z0-9][a-z0-9.-]*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?/system"
)

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
names = st.builds(
    lambda first, last: ".".join([*first, last]),
    st.lists(labels, max_size=3),
    st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True),
)
hosts = st.one_of(
    names,
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
ports = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))
users = st.one_of(st.just(""), st.from_regex(r"[a-z_][a-z0-9_-]{0,31}@", fullmatch=True))
#: Text made of what URIs and shells treat in a special way.
nasty = st.text(
    st.sampled_from([*"abz019-._:/@?#%[]&=;,$`'\"\\ \t\n\r\0+|<>(){}~^*!\xe9\u212a\u202e"]),
    max_size=24,
)


def outcome(text: str) -> str | BadHostUri:
    try:
        return parse_uri(text, REAL)
    except BadHostUri as error:
        return error


@given(st.sampled_from(REAL), hosts, ports)
def test_a_plain_uri_is_accepted_and_its_canonical_form_is_stable(
    scheme: str, host: str, port: str
) -> None:
    uri = parse_uri(f"{scheme}://{host}{port}/system", REAL)
    assert CANONICAL.fullmatch(uri)
    assert parse_uri(uri, REAL) == uri
    assert parse_uri(f"{scheme.upper()}://{host.upper()}{port}/system", REAL) == uri


@given(users, hosts, ports)
def test_only_ssh_takes_a_user(user: str, host: str, port: str) -> None:
    rest = f"{user}{host}{port}/system"
    assert CANONICAL.fullmatch(parse_uri(f"qemu+ssh://{rest}", REAL))
    if user:
        with pytest.raises(BadHostUri, match="URI user"):
            parse_uri(f"qemu+tls://{rest}", REAL)


@given(nasty)
@example("qemu+ssh://h/system\n")
@example("qemu+ssh://h/system?command=/bin/sh")
def test_whatever_is_accepted_is_canonical(text: str) -> None:
    for whole in (
        text,
        f"qemu+ssh://{text}",
        f"qemu+ssh://{text}/system",
        f"qemu+ssh://{text}@host/system",
        f"qemu+ssh://host:{text}/system",
        f"qemu+ssh://host/{text}",
        f"qemu+tls://host/system{text}",
        f"qemu{text}://host/system",
    ):
        uri = outcome(whole)
        if isinstance(uri, BadHostUri):
            assert re.fullmatch(r"URI (scheme|path|host|user|port): .+", str(uri))
        else:
            assert CANONICAL.fullmatch(uri)
            assert endpoint(uri).port in range(1, 65536)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "scheme"),
        ("node1", "scheme"),
        ("qemu:///system", "scheme"),
        ("qemu+unix:///system", "scheme"),
        ("qemu+ext://h/system", "scheme"),
        ("qemu+libssh://h/system", "scheme"),
        ("xen+tls://h/system", "scheme"),
        ("test+tcp://h:1/default", "scheme"),
        ("qemu+tls://h", "path"),
        ("qemu+tls://h/", "path"),
        ("qemu+tls://h/session", "path"),
        ("qemu+tls://h/system/", "path"),
        ("qemu+tls://h/system?no_verify=1", "path"),
        ("qemu+tls://h/system#x", "path"),
        ("qemu+tls:///system", "host"),
        ("qemu+ssh://-oProxyCommand=x/system", "host"),
        ("qemu+ssh://-h/system", "host"),
        ("qemu+ssh://a_b/system", "host"),
        ("qemu+ssh://h%20/system", "host"),
        ("qemu+ssh://h h/system", "host"),
        ("qemu+ssh://127.1/system", "host"),
        ("qemu+ssh://2130706433/system", "host"),
        ("qemu+ssh://0x7f000001/system", "host"),
        ("qemu+ssh://010.0.0.1/system", "host"),
        ("qemu+ssh://256.0.0.1/system", "host"),
        ("qemu+ssh://::1/system", "host"),
        ("qemu+ssh://[::1/system", "host"),
        ("qemu+ssh://[fe80::1%eth0]/system", "host"),
        ("qemu+ssh://[node1]/system", "host"),
        (f"qemu+ssh://{'a' * 64}/system", "host"),
        (f"qemu+ssh://{'a.' * 127}a/system", "host"),
        ("qemu+tls://h:/system", "port"),
        ("qemu+tls://h:0/system", "port"),
        ("qemu+tls://h:65536/system", "port"),
        ("qemu+tls://h:+1/system", "port"),
        ("qemu+tls://h:1:2/system", "port"),
        ("qemu+ssh://@h/system", "user"),
        ("qemu+ssh://-l@h/system", "user"),
        ("qemu+ssh://root:secret@h/system", "user"),
        ("qemu+tls://root@h/system", "user"),
    ],
)
def test_a_refusal_names_the_field_and_never_repeats_the_text(text: str, field: str) -> None:
    with pytest.raises(BadHostUri, match=f"^URI {field}: ") as caught:
        parse_uri(text, REAL)
    assert "secret" not in str(caught.value)


def test_the_fake_driver_is_opened_only_where_its_scheme_is_in_use() -> None:
    assert parse_uri("test+tcp://127.0.0.1:5/default", DEMO) == "test+tcp://127.0.0.1:5/default"
    for path in ("/system", "/other", "/default?x=1"):
        with pytest.raises(BadHostUri):
            parse_uri(f"test+tcp://127.0.0.1:5{path}", DEMO)


def test_a_scheme_that_is_in_use_but_unknown_here_is_refused() -> None:
    with pytest.raises(BadHostUri):
        parse_uri("qemu+ext://h/system", (*REAL, "qemu+ext"))


def test_canonical_means_short_and_lower_case() -> None:
    assert parse_uri("QEMU+TLS://Node1.Example:16514/system", REAL) == (
        "qemu+tls://node1.example/system"
    )
    assert parse_uri("qemu+tcp://[2001:DB8:0:0::1]:7/system", REAL) == (
        "qemu+tcp://[2001:db8::1]:7/system"
    )


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("localhost", "127.0.0.1"),
        ("LocalHost.", "127.0.0.1"),
        ("a.localhost", "127.0.0.1"),
        ("node1.", "node1"),
        ("[::ffff:192.0.2.1]", "192.0.2.1"),
        ("[::ffff:c000:201]", "192.0.2.1"),
        ("localhost.example", "localhost.example"),
        ("notlocalhost", "notlocalhost"),
    ],
)
def test_a_machine_has_one_spelling(host: str, kept: str) -> None:
    assert parse_uri(f"qemu+tcp://{host}/system", REAL) == f"qemu+tcp://{kept}/system"
    assert endpoint(f"qemu+tcp://{host}/system").host == kept
    assert canonical_host(host) == kept


def test_an_address_outside_a_uri_may_leave_the_brackets_out() -> None:
    for text in ("[2001:DB8:0::1]", "2001:db8::1", "[2001:db8::1]"):
        assert canonical_host(text) == "2001:db8::1"
    for text in ("[[[", "[]", "", ".", "a..b", "node1..", "node1:623", "[node1]", "a b", "127.1"):
        with pytest.raises(BadHostUri):
            canonical_host(text)


@given(st.sampled_from(REAL), hosts, ports)
def test_an_endpoint_is_where_the_uri_points(scheme: str, host: str, port: str) -> None:
    default = {"qemu+tls": 16514, "qemu+tcp": 16509, "qemu+ssh": 22}[scheme]
    found = endpoint(parse_uri(f"{scheme}://{host}{port}/system", REAL))
    assert found.port == int(port[1:] or default)
    bare = host.strip("[]")
    if ":" in bare:
        asked = ipaddress.IPv6Address(bare)
        assert ipaddress.ip_address(found.host) == (asked.ipv4_mapped or asked)
    else:
        assert found == Endpoint(bare, found.port)


@pytest.mark.parametrize("text", ["qemu:///session", "qemu+tcp://h/session?socket=/x", "h:1"])
def test_what_is_not_on_tcp_or_carries_options_has_no_endpoint(text: str) -> None:
    with pytest.raises(BadHostUri):
        endpoint(text)

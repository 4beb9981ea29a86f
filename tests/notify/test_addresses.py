"""Where a webhook may go."""

from ipaddress import ip_address

import pytest

from portal.notify.domain.addresses import checked_url, forbidden


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/a?b=c", "http://127.0.0.1:8080/", "http://[::1]:8080/x",
        "https://10.0.0.1", "http://localhost/hook", "https://intranet_host/x",
    ],
)  # fmt: skip
def test_a_good_url_stays_as_it_is(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("ftp://x/", "https://"), ("file:///etc/passwd", "https://"), ("hooks.example", "https://"),
        ("gopher://127.0.0.1:6379/_SET", "https://"), ("https://", "no host"),
        ("https://u:p@hooks.example/", "user"), ("https://h/#x", "#"), ("https://h/#", "#"),
        ("https://h:0/", "port"), ("https://h:99999/", "port"), ("https://h:/", "port"),
        ("https://[::1/", "port"), ("https://-x-/", "cannot be one"), ("https://a b/", "spaces"),
        ("https://h/\r\nX: y", "ASCII"), ("https://bücher.example/", "ASCII"),
        ("https://h/" + "x" * 500, "500"), ("http://169.254.169.254/latest", "link-local"),
        ("http://[fe80::1]/", "link-local"), ("http://0.0.0.0/", "no address"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_says_what_to_write(url: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        checked_url(url)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1",
        "::ffff:169.254.1.1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fd00:ec2::254",
        "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "::",
    ],
)  # fmt: skip
def test_link_local_and_metadata_are_never_called_however_they_are_written(address: str) -> None:
    assert forbidden(ip_address(address))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "192.0.2.1", "fd00::1"])
def test_loopback_and_private_networks_may_be_called(address: str) -> None:
    assert not forbidden(ip_address(address))

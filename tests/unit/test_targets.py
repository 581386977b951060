"""A hundred ways to lead us into our own network, refused; and what is allowed, allowed."""

import ipaddress

import pytest

from barbeque_py.errors import ForbiddenTarget
from barbeque_py.targets import (
    Allowed,
    check_addresses,
    check_target,
    is_global,
    literal_of,
    read_allowed,
    read_target,
)

NOTHING = Allowed()

CRAFTED = [
    # Loopback and this host, in every writing.
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.01/",
    "https://127.0.0.1./",
    "https://127.255.255.254/",
    "https://0.0.0.0/",
    "https://0/",
    "https://0.0.0.1/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://app.localhost/",
    "https://localhost.localdomain/",
    "https://[::1]/",
    "https://[::]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:ffff:127.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[::1%25lo]/",
    "https://[::1%lo]/",
    # Credentials of the machine.
    "https://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "https://169.254.170.2/v2/credentials/",
    "https://169.254.170.23/",
    "https://169.254.169.254.:443/",
    "https://[::ffff:169.254.169.254]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[::ffff:169.254.170.2]/",
    "https://[64:ff9b::169.254.169.254]/",
    "https://[64:ff9b::a9fe:aa02]/",
    "https://[64:ff9b:1::169.254.169.254]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[2002:a9fe:aa02::1]/",
    "https://[2001:0:a9fe:a9fe::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fd20:ce::254]/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://169.16689662/",
    "https://168.63.129.16/",
    "https://100.100.100.200/",
    "https://192.0.0.192/",
    "https://metadata/",
    "https://metadata.google.internal/",
    "https://instance-data.ec2.internal/",
    # Private and special networks.
    "https://10.0.0.1/",
    "https://10.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://192.168.257/",
    "https://100.64.0.1/",
    "https://169.254.1.1/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://192.88.99.1/",
    "https://224.0.0.1/",
    "https://239.255.255.250/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[100::1]/",
    "https://[2002:0a00:0001::1]/",
    "https://[2001:0:0a00:1::1]/",
    "https://[64:ff9b::10.0.0.1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::ffff:0:10.0.0.1]/",
    "https://printer.local/",
    "https://router.home.arpa/",
    "https://db.internal/",
    "https://db/",
    # What two readers understand differently.
    "https://example.com@127.0.0.1/",
    "https://user:password@example.com/",
    "https://127.0.0.1\\@example.com/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com#@127.0.0.1/",
    "https://example.com/#fragment",
    "https://127.0.0.1%2f@example.com/",
    "https://127%2e0%2e0%2e1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://ⓔⓧⓐⓜⓟⓛⓔ.com/",
    "https://exa mple.com/",
    "https://example.com/a b",
    "https://example.com/\r\nHost: internal",
    "https://example.com\t/",
    "https://example.com\n",
    "https://exam\x00ple.com/",
    "https://-example.com/",
    "https://example..com/",
    "https://.example.com/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://example.com:+443/",
    "https://example.com:\uff14\uff14\uff13/",
    "https:///example.com/",
    "https:example.com/",
    "https:/\\example.com/",
    "//example.com/",
    "https://",
    "https://[example.com]/",
    "https://[1.2.3.4]/",
    "https://1.2.3.4.5/",
    "https://256.256.256.256/",
    "https://[::ffff:999.1.1.1]/",
    # Other schemes, other ports.
    "http://example.com/",
    "https://example.com:8443/",
    "https://example.com:22/",
    "https://example.com:80/",
    "http://example.com:443/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/_x",
    "unix:///var/run/docker.sock",
    "javascript:alert(1)",
    "https://example.com/" + "a" * 2000,
]


@pytest.mark.parametrize("url", CRAFTED)
def test_it_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenTarget):
        check_target(read_target(url), NOTHING)


def test_there_are_a_hundred_of_them() -> None:
    assert len(set(CRAFTED)) >= 100


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://example.com",
        "https://example.com:443/hook?a=b%20c&d=[1]",
        "https://xn--bcher-kva.example.com/hook",
        "HTTPS://Example.COM/Hook",
        "https://my_app.example.com/",
        "https://93.184.215.14/",
        "https://[2606:4700:4700::1111]/",
        "https://1x.example.com/",
    ],
)
def test_a_public_address_by_https_is_fit(url: str) -> None:
    check_target(read_target(url), NOTHING)


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["93.184.215.14", "10.0.0.1"],
        ["93.184.215.14", "::1"],
        ["2606:4700:4700::1111", "fd00:ec2::254"],
        ["169.254.169.254"],
        ["::ffff:169.254.170.2"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["2001:0:53aa:64c:0:fffe:f5ff:fffe"],
        [],
    ],
)
def test_a_name_is_refused_when_any_of_its_addresses_is(addresses: list[str]) -> None:
    target = read_target("https://example.com/")
    with pytest.raises(ForbiddenTarget):
        check_addresses(target, list(map(ipaddress.ip_address, addresses)), NOTHING)


def test_every_address_that_python_calls_private_is_not_global() -> None:
    for text in ("10.9.8.7", "172.20.1.1", "127.9.9.9", "100.127.0.1", "fe80::9", "fdff::1"):
        address = ipaddress.ip_address(text)
        assert not address.is_global
        assert not is_global(address)
    assert is_global(ipaddress.ip_address("93.184.215.14"))
    assert is_global(ipaddress.ip_address("64:ff9b::93.184.215.14"))


def passes(url: str, listed: str, *addresses: str) -> bool:
    allowed, target = read_allowed(listed), read_target(url)
    literal = literal_of(target)
    found = [literal] if literal else [ipaddress.ip_address(each) for each in addresses]
    try:
        check_target(target, allowed)
        check_addresses(target, found, allowed)
    except ForbiddenTarget:
        return False
    return True


def test_what_is_listed_may_be_private_and_plain() -> None:
    assert passes("http://hooks.internal:8080/x", "hooks.internal", "10.0.0.1")
    assert passes("http://a.b.internal/", "*.internal", "10.0.0.1")
    assert passes("http://10.1.2.3:81/", "10.1.0.0/16")
    assert passes("http://app/", "app", "172.17.0.2")
    assert passes("http://localhost:5000/", "localhost", "127.0.0.1", "::1")
    assert passes("https://hooks.example.com/", "10.0.0.0/8", "10.0.0.1")
    assert passes("http://[::1]:5000/", "::1")


def test_what_is_listed_opens_nothing_else() -> None:
    assert not passes("http://other.internal/", "hooks.internal", "10.0.0.1")
    assert not passes("http://internal/", "*.internal", "10.0.0.1")
    assert not passes("http://10.2.0.1/", "10.1.0.0/16")
    assert not passes("https://hooks.example.com/", "10.0.0.0/8", "10.0.0.1", "192.168.0.1")
    assert not passes("http://hooks.example.com/", "10.0.0.0/8", "93.184.215.14")
    assert not passes("http://hooks.example.com/", "10.0.0.0/8", "10.0.0.1", "93.184.215.14")
    assert not passes("https://hooks.example.com:8443/", "10.0.0.0/8", "93.184.215.14")


def test_no_list_opens_the_credentials_of_the_machine() -> None:
    assert not passes("http://169.254.169.254/", "169.254.0.0/16")
    assert not passes("http://169.254.170.2/", "0.0.0.0/0")
    assert not passes("http://[::ffff:169.254.169.254]/", "0.0.0.0/0, ::/0")
    assert not passes("http://hooks.internal/", "hooks.internal", "169.254.169.254")


def test_a_list_is_read_strictly() -> None:
    assert read_allowed("") == NOTHING
    for wrong in ("10.0.0.0/33", "http://hooks.internal", "a b/c", "hooks..internal", "127.1", "*"):
        with pytest.raises(ValueError, match="neither a host's name nor a network"):
            read_allowed(wrong)


def test_a_target_is_shown_without_its_path() -> None:
    assert read_target("https://Example.com/secret?token=1").origin == "https://example.com"
    assert read_target("http://[::1]:81/x").origin == "http://[::1]:81"
    assert read_target("https://example.com?a=1").path == "/?a=1"

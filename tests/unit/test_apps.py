"""What apps are called and where their images come from."""

import pytest

from barbeque_py.apps import with_registry


@pytest.mark.parametrize(
    ("image", "registry", "full"),
    [
        ("media:1", "registry.example.com", "registry.example.com/media:1"),
        ("team/media", "localhost:5000", "localhost:5000/team/media"),
        ("localhost/media", "registry.example.com", "localhost/media"),
        ("other.example.com/media", "registry.example.com", "other.example.com/media"),
        ("host:5000/media", "registry.example.com", "host:5000/media"),
        ("media", None, "media"),
        ("", "registry.example.com", ""),
    ],
)
def test_an_image_that_names_no_registry_comes_from_the_default_one(
    image: str, registry: str | None, full: str
) -> None:
    assert with_registry(image, registry) == full

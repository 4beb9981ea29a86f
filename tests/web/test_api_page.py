"""The API's own page: told in a language, in colours that can be read, with a way back."""

from django.test import Client


def test_the_page_of_the_api_has_a_language_colours_of_its_own_and_a_way_back(
    db: None, client: Client
) -> None:
    text = client.get("/api/docs/").content.decode()
    assert '<html lang="en">' in text
    assert '<a href="/">Holdfast</a>' in text
    assert "/static/api.css" in text
    assert "<style" not in text

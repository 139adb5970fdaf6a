"""Keys of dialback (XEP-0220, XEP-0185)."""

from fakes.xmpp import dialback


def test_the_key_is_that_of_the_example() -> None:
    secret, id = "s3cr3tf0rd14lb4ck", "D60000229F"
    key = dialback.key(secret, "montague.example", "capulet.example", id)
    assert key == "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3"
    assert dialback.is_key(secret, "montague.example", "capulet.example", id, key)
    assert not dialback.is_key(secret, "capulet.example", "montague.example", id, key)
    assert not dialback.is_key(secret, "montague.example", "capulet.example", id, "schlüssel")


def test_an_error_has_its_type_and_its_condition() -> None:
    answer = dialback.answer("result", "a.test", "b.test", "item-not-found")
    assert answer == (
        b"<db:result from='a.test' to='b.test' type='error'><error type='cancel'><item-not-found"
        b" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>"
    )


def test_the_key_of_another_server_is_passed_on_as_text() -> None:
    asked = dialback.request("verify", "a.test", "b.test", "</db:verify><message/>&", "id'1")
    assert asked == (
        b"<db:verify from='a.test' to='b.test' id='id&apos;1'>"
        b"&lt;/db:verify&gt;&lt;message/&gt;&amp;</db:verify>"
    )

"""What was asked for lately is kept: so much of it, for a time."""

from sql.process.recent import Recent


def test_a_value_counts_for_its_time() -> None:
    clock = [0.0]
    kept: Recent[str, int] = Recent(2, 10.0, lambda: clock[0])
    assert kept.get("a") is None
    kept.put("a", 1)
    clock[0] = 9.9
    assert kept.get("a") == 1
    clock[0] = 10.0
    assert kept.get("a") is None
    kept.put("a", 2)
    clock[0] = 19.9
    assert kept.get("a") == 2, "a value that is put again counts from then on"
    kept.forget("a")
    assert kept.get("a") is None


def test_what_was_used_longest_ago_makes_room() -> None:
    kept: Recent[str, int] = Recent(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)


def test_many_small_values_make_room_for_a_large_one_and_a_repeat_counts_once() -> None:
    kept: Recent[str, str] = Recent(10, size=len)
    for key in ("a", "b", "a", "c"):
        kept.put(key, "123")
    assert [kept.get(key) for key in "abc"] == ["123"] * 3
    kept.put("d", "1234567")
    assert [kept.get(key) for key in "abcd"] == [None, None, "123", "1234567"]
    kept.put("e", "x" * 11)
    assert [kept.get(key) for key in "cde"] == [None] * 3

"""Values that can be made again are kept while there is room, and no longer than they are of use."""

from consumers.children.held import Held


async def test_what_is_dropped_makes_room_and_is_made_again() -> None:
    held: Held[str] = Held(10)
    made: list[str] = []

    async def ask(key: str) -> str:
        async def make() -> tuple[str, int]:
            made.append(key)
            return key.upper(), 5

        return await held.get(key, make)

    assert [await ask(key) for key in "abab"] == ["A", "B", "A", "B"]
    held.drop("a")
    held.drop("never kept")
    await ask("c")
    await ask("b")
    assert made == ["a", "b", "c"], "b had its room all the time"
    await ask("a")
    await ask("b")
    assert made == ["a", "b", "c", "a"], "c was not asked for the longest"

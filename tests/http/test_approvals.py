"""Approvals: one decision, whoever looks at the page, and however many answer at once."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from domain.log.event import StreamKind
from domain.run.events import RunCancelled
from domain.run.links import Links
from domain.run.waits import ApprovalAnswered, Asked
from sql.log.event_store import PgEventStore
from tests.support.api import HOOK_URL, Person, running_api
from tests.support.stores import patient_store
from tests.support.waiting import FORM, LINKS, asking, happens, link, now_of
from tests.support.world import World

ADA, BOB, EDITOR = Asked(email="ada@example.com"), Asked(email="bob@example.com"), Asked(role="editor")
SCANS = 100


@pytest.fixture
def store(shared_store: PgEventStore) -> PgEventStore:
    return shared_store


async def answers(store: PgEventStore, run_id: UUID) -> list[ApprovalAnswered]:
    """The answers in the log."""
    return list((await now_of(store, run_id)).state.approvals["ok"].answers)


async def post(api: httpx.AsyncClient, url: str, **fields: str) -> httpx.Response:
    return await api.post(url, data=fields, headers={"user-agent": "a browser"})


async def listed(world: World, person: Person, **query: str) -> list[dict[str, Any]]:
    """The list of approvals, once it has all that is in the log."""
    await world.project()
    answer = await person("GET", "/approvals", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_looking_at_it_changes_nothing_however_often(ada: Person, dsn: str) -> None:
    async with patient_store(dsn) as store:
        run = await asking(store, ada)
        before = await store.head()
        for method in ("GET", "HEAD"):
            found = await asyncio.gather(*(ada.api.request(method, link(run)) for _ in range(SCANS)))
            assert {one.status_code for one in found} == {200}
        assert await store.head() == before


async def test_an_answer_is_on_record_with_who_gave_it(ada: Person, store: PgEventStore) -> None:
    run = await asking(store, ada)
    answered = await post(ada.api, link(run), decision="approve", comment="fine")
    assert (answered.status_code, "approved this" in answered.text) == (200, True)
    (given,) = await answers(store, run.id)
    assert (given.by, given.decision, given.comment, given.user_agent, given.user_id) == (
        "ada@example.com", "approve", "fine", "a browser", None,
    )  # fmt: skip
    assert given.ip
    assert given.until is None


async def test_of_many_at_once_one_decides(ada: Person, store: PgEventStore) -> None:
    run = await asking(store, ada, ADA, BOB)
    tries = [(link(run, number % 2), ("approve", "reject")[number % 3 == 0]) for number in range(10)]
    found = await asyncio.gather(*(post(ada.api, url, decision=decision) for url, decision in tries))
    assert sorted(one.status_code for one in found) == [200] + [409] * 9
    (given,) = await answers(store, run.id)
    assert f"already {given.decision}" in next(one.text.lower() for one in found if one.status_code == 409)


async def test_a_token_with_one_character_changed_finds_nothing(ada: Person, store: PgEventStore) -> None:
    url = link(await asking(store, ada))
    for at in (-1, -2, -20, -40):
        other = "B" if url[at] != "B" else "C"
        assert (await ada.api.get(url[:at] + other + (url[at + 1 :] if at != -1 else ""))).status_code == 404


async def test_a_key_that_may_only_read_gets_no_links(ada: Person, store: PgEventStore, shared_world: World) -> None:
    await asking(store, ada)
    await listed(shared_world, ada)
    key = (await ada("POST", "/api-keys", json={"name": "k", "scopes": ["read"]})).json()["key"]
    answer = await ada.api.get("/api/v1/approvals", headers={"authorization": f"Bearer {key}"})
    (item,) = answer.json()["items"]
    assert item["url"] is None
    assert item["recipients"][0]["url"] is None


class TestPage:
    async def test_it_is_kept_nowhere_and_shows_what_users_wrote(self, ada: Person, store: PgEventStore) -> None:
        page = await ada.api.get(link(await asking(store, ada, form=FORM)))
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["cache-control"] == "no-store"
        assert "noindex" in page.headers["x-robots-tag"]
        assert page.headers["referrer-policy"] == "no-referrer"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe" not in policy
        assert "<script" not in page.text
        assert "Refund &lt;b&gt;5&lt;/b&gt;?" in page.text
        assert "Amount &lt;in €&gt;" in page.text

    async def test_a_second_decision_is_told_who_was_first_and_when(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, ADA, BOB)
        assert (await post(ada.api, link(run), decision="reject")).status_code == 200
        for url in (link(run), link(run, 1)):
            again = await post(ada.api, url, decision="approve")
            assert again.status_code == 409
            assert "Already rejected by ada@example.com at 20" in again.text
            page = await ada.api.get(url)
            assert (page.status_code, "<form" in page.text) == (200, False)
            assert "Already rejected by ada@example.com at 20" in page.text
        assert len(await answers(store, run.id)) == 1

    async def test_after_the_deadline_it_is_too_late(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, within_s=-1)
        for answer in (await ada.api.get(link(run)), await post(ada.api, link(run), decision="approve")):
            assert answer.status_code == 410
            assert "The deadline has passed" in answer.text
        assert await answers(store, run.id) == []

    async def test_once_the_run_has_ended_it_says_so(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada)
        assert (await ada("POST", f"/runs/{run.id}/cancel")).status_code == 200
        for answer in (await ada.api.get(link(run)), await post(ada.api, link(run), decision="approve")):
            assert answer.status_code == 410
            assert "it is cancelled" in answer.text

    @pytest.mark.parametrize("token", ["x", "A" * 54, "é", "A" * 500, "..%2f..", "%00"])
    async def test_a_guess_finds_nothing(self, ada: Person, store: PgEventStore, token: str) -> None:
        await asking(store, ada)
        for method in ("GET", "POST"):
            found = await ada.api.request(method, f"/approve/{token}", data={"decision": "approve"})
            assert found.status_code == 404

    async def test_a_link_stays_valid_when_the_key_is_replaced(
        self, shared_dsn: str, ada: Person, store: PgEventStore
    ) -> None:
        run = await asking(store, ada)
        new = "another secret of this installation"
        async with running_api(shared_dsn, hop_secret=new) as api:
            assert (await api.get(link(run))).status_code == 200
        asked = run.state.approvals["ok"].asked.to[0]
        both = Links(f"{new},{'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY='}", HOOK_URL)
        assert both.approval_url(run.id, "ok", 0, asked.token_sha256) == link(run)
        assert Links(new, HOOK_URL).approval_url(run.id, "ok", 0, asked.token_sha256) is None


class TestForm:
    async def test_fields_become_the_values_that_the_form_asks_for(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, form=FORM)
        fields = {"decision": "approve", "amount": "17", "reason": "late", "urgent": "true", "tags": '["a"]'}
        assert (await post(ada.api, link(run), **fields)).status_code == 200
        (given,) = await answers(store, run.id)
        assert given.form == {"amount": 17, "reason": "late", "urgent": True, "tags": ["a"]}

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({}, "required"),
            ({"amount": "many"}, "integer"),
            ({"amount": "101"}, "maximum"),
            ({"amount": "1", "reason": "lost"}, "reason"),
            ({"amount": "1", "tags": "[1"}, "tags"),
            ({"amount": "1", "other": "x"}, "no such field"),
            ({"amount": "1", "comment": "x" * 2_001}, "2,000"),
            ({"amount": "1", "decision": "maybe"}, "approve or reject"),
        ],
    )
    async def test_mistakes_are_shown_beside_what_was_filled_in(
        self, ada: Person, store: PgEventStore, fields: dict[str, str], word: str
    ) -> None:
        run = await asking(store, ada, form=FORM)
        answer = await post(ada.api, link(run), **({"decision": "approve"} | fields))
        assert answer.status_code == 422
        assert word in answer.text
        assert f'value="{fields.get("amount", "")}"' in answer.text
        assert await answers(store, run.id) == []

    async def test_who_rejects_need_not_fill_it_in(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, form=FORM)
        assert (await post(ada.api, link(run), decision="reject")).status_code == 200
        assert (await answers(store, run.id))[0].form == {"urgent": False}

    async def test_what_is_no_form_is_refused(self, ada: Person, store: PgEventStore) -> None:
        url = link(await asking(store, ada))
        assert (await ada.api.post(url, json={"decision": "approve"})).status_code == 415
        headers = {"content-type": "application/x-www-form-urlencoded"}
        assert (await ada.api.post(url, content=b"decision=\xff", headers=headers)).status_code in (400, 422)
        assert (await ada.api.post(url, content=b"a=" + b"x" * 300_000, headers=headers)).status_code == 413


class TestRequired:
    async def test_so_many_have_to_approve_each_once(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, ADA, BOB, EDITOR, required=2)
        first = await post(ada.api, link(run), decision="approve")
        assert "1 of 2 have approved" in first.text
        again = await post(ada.api, link(run), decision="approve")
        assert again.status_code == 409
        assert (await now_of(store, run.id)).state.waits_until is not None  # type: ignore[union-attr]
        assert (await post(ada.api, link(run, 2), decision="approve")).status_code == 200
        assert [given.by for given in await answers(store, run.id)] == ["ada@example.com", "the role editor"]
        assert (await post(ada.api, link(run, 1), decision="approve")).status_code == 409

    async def test_one_who_rejects_decides_for_all(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, ADA, BOB, EDITOR, required=3)
        assert (await post(ada.api, link(run), decision="approve")).status_code == 200
        assert (await post(ada.api, link(run, 1), decision="reject")).status_code == 200
        assert (await post(ada.api, link(run, 2), decision="approve")).status_code == 409
        state = (await now_of(store, run.id)).state
        settled = state.approvals["ok"].settled
        assert settled is not None
        assert (settled.by, settled.decision) == ("bob@example.com", "reject")

    async def test_the_deadline_goes_on_with_each_answer(self, ada: Person, store: PgEventStore) -> None:
        """The one timer of the run moves to the last event, and is gone with the last answer."""
        run = await asking(store, ada, ADA, BOB, required=2)
        assert (await post(ada.api, link(run), decision="approve")).status_code == 200
        timers = "select timer_id, due_at from es.timers where stream_id = $1"
        (timer,) = await store.pool.fetch(timers, run.id)
        last = (await store.read_stream(StreamKind.RUN, run.id))[-1]
        assert (timer[0], timer[1]) == (last.event_id, run.state.approvals["ok"].asked.until)
        assert (await post(ada.api, link(run, 1), decision="approve")).status_code == 200
        assert await store.pool.fetch(timers, run.id) == []


class TestApi:
    async def test_a_member_decides(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, form=FORM)
        url = f"/runs/{run.id}/approvals/ok"
        body = {"decision": "approve", "comment": "ok", "data": {"amount": 5}}
        answer = await ada("POST", url, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json() | {"position": 0, "at": ""} == {
            "run_id": str(run.id), "step_id": "ok", "decision": "approve", "by": "Ada", "at": "", "open": False,
            "position": 0,
        }  # fmt: skip
        (given,) = await answers(store, run.id)
        assert (given.user_id, given.form) == (UUID(ada.id), {"amount": 5})
        again = await ada("POST", url, json={"decision": "reject"})
        assert (again.status_code, again.json()["code"]) == (409, "already_decided")
        assert "already approved by Ada at 20" in again.json()["detail"]

    async def test_the_form_is_asked_for_strictly(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, form=FORM)
        url = f"/runs/{run.id}/approvals/ok"
        for data, pointer in (({}, "/data"), ({"amount": "5"}, "/data/amount")):
            answer = await ada("POST", url, json={"decision": "approve", "data": data})
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
        bare = await asking(store, ada)
        answer = await ada("POST", f"/runs/{bare.id}/approvals/ok", json={"decision": "approve", "data": {"x": 1}})
        assert answer.status_code == 422

    async def test_what_no_table_takes_is_refused(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, form=FORM)
        for data in ({"amount": 1, "other": "a\0b"}, {"amount": 1, "o\0": [1]}, {"amount": 1, "tags": ["\0"]}):
            answer = await ada("POST", f"/runs/{run.id}/approvals/ok", json={"decision": "approve", "data": data})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        body = {"decision": "approve", "comment": "\0", "data": {"amount": 1}}
        assert (await ada("POST", f"/runs/{run.id}/approvals/ok", json=body)).status_code == 400
        page = await post(ada.api, link(run), decision="approve", amount="1", comment="\0")
        assert page.status_code == 422
        assert await answers(store, run.id) == []

    async def test_a_member_answers_for_their_own_address_and_once(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, BOB, Asked(email=ada.email.upper()), EDITOR, required=2)
        url = f"/runs/{run.id}/approvals/ok"
        first = await ada("POST", url, json={"decision": "approve"})
        assert (first.status_code, first.json()["open"]) == (200, True)
        assert (await answers(store, run.id))[0].recipient == 1
        assert (await ada("POST", url, json={"decision": "approve"})).status_code == 409
        assert (await post(ada.api, link(run, 1), decision="approve")).status_code == 409

    async def test_too_late_is_410(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, within_s=-1)
        answer = await ada("POST", f"/runs/{run.id}/approvals/ok", json={"decision": "approve"})
        assert (answer.status_code, answer.json()["code"]) == (410, "gone")

    async def test_somebody_else_finds_nothing(
        self, ada: Person, bob: Person, store: PgEventStore, shared_world: World
    ) -> None:
        run = await asking(store, ada)
        foreign = await bob("POST", f"/runs/{run.id}/approvals/ok", json={"decision": "approve"})
        assert foreign.status_code == 404
        assert await listed(shared_world, bob) == []
        assert (await ada("POST", f"/runs/{run.id}/approvals/no", json={"decision": "approve"})).status_code == 404
        assert await answers(store, run.id) == []

    async def test_the_run_says_for_what_it_waits(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada, ADA, EDITOR, required=2)
        await post(ada.api, link(run), decision="approve")
        detail = (await ada("GET", f"/runs/{run.id}")).json()
        assert (detail["status"], detail["reason"]) == ("waiting", "approval")
        (step,) = detail["steps"]
        assert step["waits_until"] == step["approval"]["deadline"]
        assert step["approval"]["to"] == ["ada@example.com", "the role editor"]
        assert [given["for"] for given in step["approval"]["answers"]] == ["ada@example.com"]
        assert "sha" not in str(step)

    async def test_a_repeat_of_the_request_gets_the_same_answer(self, ada: Person, store: PgEventStore) -> None:
        run = await asking(store, ada)
        key = {"idempotency-key": "approve-1"}
        url, body = f"/runs/{run.id}/approvals/ok", {"decision": "approve"}
        first, again = [await ada("POST", url, json=body, headers=key) for _ in range(2)]
        assert first.json() == again.json()
        assert (first.status_code, again.status_code) == (200, 200)


class TestList:
    async def test_each_state_has_its_own(self, ada: Person, store: PgEventStore, shared_world: World) -> None:
        opened, decided = await asking(store, ada, ADA, BOB, form=FORM), await asking(store, ada)
        expired, withdrawn = await asking(store, ada, within_s=-1), await asking(store, ada)
        await happens(store, await now_of(store, expired.id), RunCancelled(code="rejected", step_id="ok"))
        await post(ada.api, link(decided), decision="reject", comment="no")
        await happens(store, await now_of(store, withdrawn.id), RunCancelled())
        (item,) = await listed(shared_world, ada, state="open")
        assert item["run_id"] == str(opened.id)
        assert item["url"] == link(opened)
        assert item["form"] == FORM
        assert {"id", "run_id", "step_id", "title", "message", "form", "deadline", "url"} <= set(item)
        assert [one["email"] for one in item["recipients"]] == ["ada@example.com", "bob@example.com"]
        (item,) = await listed(shared_world, ada, state="decided")
        assert (item["run_id"], item["decision"], item["by"]) == (str(decided.id), "reject", "ada@example.com")
        for state, run in (("expired", expired), ("withdrawn", withdrawn)):
            (item,) = await listed(shared_world, ada, state=state)
            assert (item["run_id"], item["state"]) == (str(run.id), state)
        everything = await listed(shared_world, ada)
        assert [item["run_id"] for item in everything] == [str(run.id) for run in (withdrawn, expired, decided, opened)]

    async def test_it_comes_in_pages(self, ada: Person, store: PgEventStore, shared_world: World) -> None:
        runs = [await asking(store, ada) for _ in range(3)]
        await listed(shared_world, ada)
        first = (await ada("GET", "/approvals", params={"limit": 2})).json()
        rest = (await ada("GET", "/approvals", params={"limit": 2, "cursor": first["next_cursor"]})).json()
        found = [item["run_id"] for item in (*first["items"], *rest["items"])]
        assert found == [str(run.id) for run in reversed(runs)]
        assert rest["next_cursor"] is None

    async def test_the_link_of_the_next_who_has_not_answered_is_shown(
        self, ada: Person, store: PgEventStore, shared_world: World
    ) -> None:
        run = await asking(store, ada, ADA, BOB, required=2)
        await post(ada.api, link(run), decision="approve")
        (item,) = await listed(shared_world, ada, state="open", run_id=str(run.id))
        assert item["url"] == link(run, 1)
        assert [one["decision"] for one in item["recipients"]] == ["approve", None]


def test_links_say_nothing_without_a_secret() -> None:
    assert Links("", HOOK_URL).callback_url(UUID(int=1), "x") == ""
    assert Links("", HOOK_URL).read_callback("x") is None
    assert LINKS.read_callback("") is None

"""`GET /v1/audit`: both logs as one, in pages."""

from datetime import timedelta

from domain.shared.audit import AuditEntry
from tests.integration.http.conftest import OPERATOR, Api
from tests.integration.http.test_problems import problem
from tests.support.house import START


async def append(api: Api, service: str, *numbers: int, subject: str = "ada") -> None:
    side = api.container.orders if service == "orders" else api.container.payments
    async with side.unit_of_work() as uow:
        for number in numbers:
            entry = AuditEntry(
                at=START + timedelta(minutes=number),
                action="stock.count",
                subject=subject,
                object_type="sku",
                object_id=f"OAK {number}/ä",
                after={"onHand": number},
            )
            await uow.audit.append(entry)
        await uow.commit()


async def test_an_auditor_reads_both_logs_newest_first(api: Api) -> None:
    await append(api, "orders", 1, 4, 5)
    await append(api, "payments", 2, 3, 6, subject="bob")
    seen: list[tuple[str, int]] = []
    cursor = ""
    while True:
        page = (await api.get(f"/v1/audit?limit=2{cursor}", scopes=OPERATOR)).json()
        seen += [(item["service"], item["after"]["onHand"]) for item in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert seen == [
        *(("payments", 6), ("orders", 5), ("orders", 4), ("payments", 3), ("payments", 2), ("orders", 1))
    ]

    page = (await api.get("/v1/audit?subject=bob&limit=1", scopes=OPERATOR)).json()
    (item,) = page["items"]
    assert (item["position"], item["objectId"], item["subject"]) == (3, "OAK 6/ä", "bob")
    page = (await api.get("/v1/audit?objectId=OAK%201/%C3%A4", scopes=OPERATOR)).json()
    assert [item["position"] for item in page["items"]] == [1]


async def test_bad_queries_are_refused(api: Api) -> None:
    for query in ("cursor=b3RoZXI", "limit=0", "objectId=", "since=2026"):
        problem(await api.get(f"/v1/audit?{query}", scopes=OPERATOR), 400, "malformed")

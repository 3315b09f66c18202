"""Lists with cursors, and search a minute behind. Source: https://docs.stripe.com/api/pagination and /search."""

import re
from typing import Any

from sandbox.errors import ApiError, resource_missing
from sandbox.session import Session
from sandbox.store import decode

Json = dict[str, Any]

_COLUMNS = {"customer": "customer", "payment_intent": "payment_intent", "charge": "charge", "type": "type",
            "source": "charge", "payout": "json_extract(hidden, '$.payout')"}  # fmt: skip
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def list_objects(
    session: Session,
    kind: str,
    url: str,
    params: Json,
    filters: tuple[str, ...] = (),
    *,
    since: int | None = None,
    **fixed: Any,
) -> Json:
    """Newest first, from `since` on. `filters` are the parameters that must equal the object's own; `fixed` are
    more of them."""
    limit = page_limit(params)
    where: list[str] = ["account = ?", "kind = ?"]
    values: list[Any] = [session.account, kind]
    wanted = {name: params[name] for name in filters if name in params} | fixed
    for name, value in wanted.items():
        # Events are also asked for by a group such as `charge.*`.
        comparison = "GLOB" if name == "type" and value.endswith("*") else "="
        where.append(f"{_COLUMNS.get(name) or _json_column(name)} {comparison} ?")
        values.append(value)
    _created(params.get("created"), where, values)
    _created(None if since is None else {"gte": since}, where, values)
    if params.get("types"):
        where.append(f"type IN ({', '.join('?' * len(params['types']))})")
        values.extend(params["types"])
    if "delivery_success" in params:
        negation = "NOT " if params["delivery_success"] else ""
        where.append(f"{negation}EXISTS (SELECT 1 FROM delivery WHERE delivery.event = object.id)")
    backwards = "ending_before" in params
    for name, comparison in (("starting_after", "<"), ("ending_before", ">")):
        if name in params:
            where.append(f"(created, seq) {comparison} (?, ?)")
            values.extend(_place(session, kind, params[name], name))
    direction = "ASC" if backwards else "DESC"
    rows = session.store.rows(
        f"SELECT body FROM object WHERE {' AND '.join(where)}"
        f" ORDER BY created {direction}, seq {direction} LIMIT ?",
        *values,
        limit + 1,
    )
    data = [decode(row[0]) for row in rows[:limit]]
    if backwards:
        data.reverse()
    return {"object": "list", "data": data, "has_more": len(rows) > limit, "url": url}


def _json_column(name: str) -> str:
    return f"json_extract(body, '$.{name}')"


def page_limit(params: Json) -> int:
    limit: int = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise ApiError(
            "This value must be between 1 and 100.", code="parameter_invalid_integer", param="limit"
        )
    return limit


def _place(session: Session, kind: str, object_id: str, param: str) -> tuple[int, int]:
    rows = session.store.rows(
        "SELECT created, seq FROM object WHERE id = ? AND account = ? AND kind = ?",
        object_id,
        session.account,
        kind,
    )
    if not rows:
        raise resource_missing(kind, object_id, param)
    created, seq = rows[0]
    return int(created), int(seq)


def _created(given: Any, where: list[str], values: list[Any]) -> None:
    if given is None:
        return
    ranges = given if isinstance(given, dict) else {"gte": given, "lte": given}
    for name, value in ranges.items():
        where.append(f"created {_COMPARISONS[name]} ?")
        values.append(value)


_CLAUSE = re.compile(
    r"""\s*(?P<not>-)?(?P<field>[a-z_]+)(?:\[(?P<q>["'])(?P<key>.*?)(?P=q)\])?
        \s*(?P<operator>:|~|>=|<=|>|<)\s*
        (?:(?P<vq>["'])(?P<text>(?:\\.|(?!(?P=vq)).)*)(?P=vq)|(?P<bare>null|-?\d+))\s*""",
    re.VERBOSE,
)
_JOIN = re.compile(r"(AND|OR)\b|(?=\S)", re.IGNORECASE)
_NUMBERS = ("amount", "created")
_FIELDS = (*_NUMBERS, "currency", "customer", "metadata", "status")


def search_intents(session: Session, params: Json) -> Json:
    """Matches an intent as it was a minute ago and returns it as it is now, as Stripe's index does."""
    limit = page_limit(params)
    condition, values = _condition(params["query"])
    before = _page(params.get("page"))
    rows = session.store.rows(
        "SELECT object.seq, object.body FROM searchable JOIN object ON object.id = searchable.id"
        " WHERE searchable.account = ? AND object.seq < ? AND searchable.seq ="
        " (SELECT max(seq) FROM searchable AS newer"
        "  WHERE newer.id = searchable.id AND newer.visible_at <= ?)"
        f" AND {condition} ORDER BY object.seq DESC LIMIT ?",
        session.account,
        before,
        session.now,
        *values,
        limit + 1,
    )
    more = len(rows) > limit
    return {
        "object": "search_result",
        "data": [decode(row[1]) for row in rows[:limit]],
        "has_more": more,
        "next_page": str(rows[limit - 1][0]) if more else None,
        "url": "/v1/payment_intents/search",
    }


def _page(given: str | None) -> int:
    if given is None:
        return 2**62
    if not given.isdecimal():
        raise ApiError(f"Invalid page: {given}", param="page")
    return int(given)


def _condition(query: str) -> tuple[str, list[Any]]:
    """The query language as SQL. AND and OR cannot be mixed, as with Stripe."""
    clauses: list[str] = []
    values: list[Any] = []
    joins: set[str] = set()
    position = 0
    while position < len(query):
        if clauses:
            join = _JOIN.match(query, position)
            if join is None:
                raise _unsearchable(query)
            joins.add((join[1] or "AND").upper())
            position = join.end()
        match = _CLAUSE.match(query, position)
        if match is None:
            raise _unsearchable(query)
        clauses.append(_clause(match, values, query))
        position = match.end()
    if not clauses or len(joins) > 1:
        raise _unsearchable(query)
    join_word = f" {joins.pop()} " if joins else ""
    return f"({join_word.join(clauses)})", values


def _clause(match: re.Match[str], values: list[Any], query: str) -> str:
    field, operator = match["field"], match["operator"]
    if field not in _FIELDS or (field == "metadata") != (match["key"] is not None):
        raise ApiError(
            f"Field `{field}` is an unsupported search field for resource `payment_intents`.", param="query"
        )
    if match["key"] is not None and '"' in match["key"]:
        raise _unsearchable(query)
    values.append(f'$.{field}."{match["key"]}"' if match["key"] is not None else f"$.{field}")
    column = "json_extract(searchable.body, ?)"
    if match["bare"] == "null":
        clause = f"{column} IS NULL"
    elif field in _NUMBERS:
        values.append(int(match["bare"] or match["text"]))
        clause = f"{column} {'=' if operator == ':' else operator} ?"
    elif operator == ":":
        values.append(_unescape(match["text"] if match["text"] is not None else match["bare"]))
        clause = f"{column} = ? COLLATE NOCASE"
    elif operator == "~" and match["text"] is not None and len(match["text"]) >= 3:
        values.append(_unescape(match["text"]))
        clause = f"instr(lower({column}), lower(?)) > 0"
    else:
        raise _unsearchable(query)
    return f"({clause}) IS NOT 1" if match["not"] else clause


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _unsearchable(query: str) -> ApiError:
    return ApiError(f"We were unable to parse your search query: {query}", param="query")

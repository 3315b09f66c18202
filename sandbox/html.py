"""What the sandbox's pages have in common."""

from sandbox.http import Response

_ZERO_DECIMALS = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
_THREE_DECIMALS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
BASE_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; background: Canvas; color: CanvasText; }
"""


def page(status: int, title: str, content: str, style: str) -> Response:
    """`title` and `content` are HTML already."""
    html = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Payonce sandbox</title>
<style>{BASE_STYLE}{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""
    return Response(
        status,
        html.encode(),
        "text/html; charset=utf-8",
        {"Cache-Control": "no-store", "X-Frame-Options": "DENY"},
    )


def shown_amount(amount: int, currency: str) -> str:
    decimals = 0 if currency in _ZERO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    whole, part = divmod(amount, 10**decimals)
    shown = f"{whole:,}.{part:0{decimals}d}" if decimals else f"{whole:,}"
    return f"{shown} {currency.upper()}"

"""Where a browser comes back to from an authorization server: /oauth/callback."""

from html import escape
from typing import Any

from litestar import Request, Response, get

from app.connections.consent import ConsentFailed, Consents
from app.http.docs import layout
from app.http.inputs import Injected
from app.http.services import Services


@get("/oauth/callback", include_in_schema=False)
async def oauth_callback(
    request: Request[Any, Any, Any], consents: Injected[Consents], services: Injected[Services]
) -> Response[str]:
    """Trades the code for tokens, and says how that went. Servers add parameters of their own, which say nothing."""
    given = request.query_params
    error = f"{given.get('error', '')} {given.get('error_description', '')}".strip()
    back = f'<p><a href="{escape(services.public_path)}/connections">To the connections</a></p>'
    try:
        row = await consents.come_back(given.get("state", ""), given.get("code", ""), error)
    except ConsentFailed as failed:
        return layout.form_page("Not connected", f"<p>{escape(str(failed))}.</p>{back}", 400)
    return layout.form_page(
        "Connected", f"<p><strong>{escape(row.name)}</strong> is connected. You can close this page.</p>{back}"
    )

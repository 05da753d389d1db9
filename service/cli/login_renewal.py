"""A login and its issuer: what was issued becomes a login, is renewed, and is ended."""

from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.oauth_id_token import subject_of
from service.cli.oauth_issuer import Issuer, http_client
from service.cli.oauth_tokens import (
    Asked,
    Issued,
    IssuerRefused,
    IssuerUnavailable,
    TokenEndpoint,
    claims_of,
    http_failure,
)
from service.cli.token_store import Login


def login_of(issuer: Issuer, asked: Asked, issued: Issued, nonce: str | None) -> Login:
    """What is kept of a login that was made just now.

    Args:
        issuer: Where.
        asked: Who asked, and what for.
        issued: What was given.
        nonce: What the ID token has to repeat.

    Raises:
        CommandFailed: The ID token is missing, or not of this login.
    """
    subject: str | None = None
    if issued.id_token is not None:
        subject = subject_of(issued.id_token, issuer.name, asked.client_id, nonce)
    elif nonce is not None:
        raise CommandFailed(f"{issuer.name} has sent no ID token, though `openid` was asked for")
    else:
        claimed = claims_of(issued.access_token).get("sub")
        subject = claimed if isinstance(claimed, str) else None
    return Login(
        issuer=issuer.name,
        client_id=asked.client_id,
        scopes_asked=asked.scopes,
        audience=asked.audience,
        resource=asked.resource,
        token_endpoint=issuer.token_endpoint,
        revocation_endpoint=issuer.revocation_endpoint,
        subject=subject,
        scopes=issued.scopes,
        expires_at_s=issued.expires_at_s,
        access_token=issued.access_token,
        refresh_token=issued.refresh_token,
    )


def refreshed(login: Login, refresh_token: str) -> Login:
    """A login with tokens of now.

    Raises:
        CommandFailed: The issuer refuses, or does not answer.
    """
    with http_client() as http:
        try:
            issued = TokenEndpoint(http, login.token_endpoint, _asked(login)).refresh(refresh_token)
        except IssuerRefused as refused:
            if refused.error == "invalid_grant":
                raise CommandFailed(
                    f"the login at {login.issuer} has ended: `cohort login` again", NOT_STARTED
                ) from None
            raise http_failure(login.issuer, refused, refresh_token) from None
        except IssuerUnavailable as unavailable:
            raise http_failure(login.issuer, unavailable) from None
    return login.model_copy(
        update={
            "scopes": issued.scopes,
            "expires_at_s": issued.expires_at_s,
            "access_token": issued.access_token,
            "refresh_token": issued.refresh_token,
        }
    )


def ended(login: Login) -> list[str]:
    """Revokes the tokens of a login; returns what went wrong, for people."""
    if login.revocation_endpoint is None:
        return [f"{login.issuer} revokes nothing: the tokens stay good until they expire"]
    problems: list[str] = []
    tokens = {"refresh token": login.refresh_token, "access token": login.access_token}
    with http_client() as http:
        endpoint = TokenEndpoint(http, login.token_endpoint, _asked(login))
        for kind, token in tokens.items():
            try:
                if token:
                    endpoint.revoke(login.revocation_endpoint, token, kind.replace(" ", "_"))
            except IssuerRefused as refused:
                # JWTs are often asked for by nobody, so that there is no use in revoking them.
                stays = refused.error == "unsupported_token_type"
                told = (
                    "it stays good until it expires"
                    if stays
                    else str(http_failure(login.issuer, refused, *tokens.values()))
                )
                problems.append(f"the {kind} was not revoked: {told}")
            except IssuerUnavailable as unavailable:
                problems.append(f"the {kind} was not revoked: {http_failure(login.issuer, unavailable)}")
    return problems


def _asked(login: Login) -> Asked:
    # An answer that names no scopes means those that there were.
    return Asked(login.client_id, login.scopes, login.audience, login.resource)

"""The RPCs of service accounts: validate → books → directory → answer. Their private keys are never seen here."""

import functools

from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.service_account_pb2 import (
    CreateServiceAccountRequest,
    CreateServiceAccountResponse,
    ListServiceAccountsRequest,
    ListServiceAccountsResponse,
    RevokeServiceAccountRequest,
    RevokeServiceAccountResponse,
    ServiceAccount,
)
from service.books.books import Books
from service.books.errors import TeamUnknown
from service.call import current_call
from service.context import Context
from service.errors import Refused
from service.identity import service_account_registry
from service.identity.identities import Identities
from service.identity.request_names import RequestName
from service.identity.seals import Seals
from service.identity.service_account_registry import NewServiceAccount, StoredServiceAccount
from service.identity.service_accounts import ServiceAccounts
from service.public_keys import public_key_of
from service.servicers.asking import credential_place_of, day_of, operator_of, page_token_of, require_valid
from service.validation import (
    violations_of_create_service_account,
    violations_of_list_service_accounts,
    violations_of_revoke_service_account,
)

ACCOUNTS_DEFAULT = 100


class ServiceAccountServicer:
    """The part of AdminService that makes, lists and revokes service accounts.

    Args:
        books: Where they are kept.
        identities: Who may call, in this process: a change is in force here before it is answered.
        accounts: Knows what their JWTs have to say.
    """

    def __init__(self, books: Books, identities: Identities, accounts: ServiceAccounts) -> None:
        self._books = books
        self._identities = identities
        self._accounts = accounts

    async def CreateServiceAccount(
        self, request: CreateServiceAccountRequest, _: Context
    ) -> CreateServiceAccountResponse:
        """Makes a service account for the holder of a private key."""
        call = current_call()
        require_valid(violations_of_create_service_account(request))
        if request.team not in call.snapshot.policies:
            raise TeamUnknown(request.team)
        audience, organisation = self._accounts.expected
        if organisation is None:
            message = "there are no service accounts here: the config has no identity.organisation"
            raise Refused(reasons.ERROR_REASON_SERVICE_ACCOUNTS_OFF, message, {})
        if not call.snapshot.peppers:
            message = "there are no service accounts here: the config names no pepper to seal them under"
            raise Refused(reasons.ERROR_REASON_SERVICE_ACCOUNTS_OFF, message, {})
        key = public_key_of(request.public_key)
        new = NewServiceAccount(
            team=request.team,
            name=request.name,
            scopes=frozenset(request.scopes),
            public_key=key.pem,
            algorithm=key.algorithm,
            models=frozenset(request.models),
            max_tokens_per_call=request.max_tokens_per_call if request.HasField("max_tokens_per_call") else None,
        )
        named = RequestName(call.caller, request.request_id, ()) if request.request_id else None
        seals = Seals(call.snapshot.peppers, call.snapshot.pepper_version)
        work = service_account_registry.create(new, operator_of(call).principal, seals, named)
        stored: StoredServiceAccount = await self._books.change(work)
        await self._identities.catch_up()
        response = CreateServiceAccountResponse(audience=audience, organisation=organisation)
        _fill(response.service_account, stored)
        return response

    async def ListServiceAccounts(self, request: ListServiceAccountsRequest, _: Context) -> ListServiceAccountsResponse:
        """Lists service accounts."""
        require_valid(violations_of_list_service_accounts(request))
        page = await self._books.read(
            functools.partial(
                service_account_registry.list_service_accounts,
                team=request.team,
                accounts_max=request.page_size or ACCOUNTS_DEFAULT,
                after=credential_place_of(request.page_token),
            )
        )
        response = ListServiceAccountsResponse(next_page_token=page_token_of(page.end) if page.end else "")
        for stored in page.accounts:
            _fill(response.service_accounts.add(), stored)
        return response

    async def RevokeServiceAccount(
        self, request: RevokeServiceAccountRequest, _: Context
    ) -> RevokeServiceAccountResponse:
        """Ends a service account and all its JWTs."""
        call = current_call()
        require_valid(violations_of_revoke_service_account(request))
        work = service_account_registry.revoke(request.id, operator_of(call, request.note))
        stored: StoredServiceAccount = await self._books.change(work)
        self._identities.revoked(stored.id)
        await self._identities.catch_up()
        response = RevokeServiceAccountResponse()
        _fill(response.service_account, stored)
        return response


def _fill(told: ServiceAccount, stored: StoredServiceAccount) -> None:
    told.id = stored.id
    told.team = stored.team
    told.name = stored.name
    told.scopes.extend(stored.scopes)
    told.models.extend(stored.models)
    if stored.max_tokens_per_call is not None:
        told.max_tokens_per_call = stored.max_tokens_per_call
    told.public_key = stored.public_key
    told.algorithm = stored.algorithm
    told.create_time.FromMicroseconds(stored.created_at_us)
    if stored.revoked_at_us:
        told.revoke_time.FromMicroseconds(stored.revoked_at_us)
    told.last_used_day = day_of(stored.last_used_day)
    told.created_by = stored.created_by

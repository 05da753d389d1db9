"""Everything that answers AdminService, each servicer some of its RPCs."""

from service.books.books import Books
from service.identity.identities import Identities
from service.identity.service_accounts import ServiceAccounts
from service.servicers.access_keys import AccessKeyServicer
from service.servicers.admin import AdminServicer
from service.servicers.service_accounts import ServiceAccountServicer
from service.servicers.teams import TeamServicer


def operating(books: Books, identities: Identities, accounts: ServiceAccounts) -> tuple[object, ...]:
    """The servicers of AdminService."""
    return (
        AdminServicer(books),
        AccessKeyServicer(books, identities),
        ServiceAccountServicer(books, identities, accounts),
        TeamServicer(books),
    )

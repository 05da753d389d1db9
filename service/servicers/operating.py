"""The servicers that AdminService is put together from, one for each of an operator's concerns."""

from collections.abc import Callable, Sequence

from service.authentication import Authentication
from service.books.books import Books
from service.limits.limits import Limits
from service.servicers.access_keys import AccessKeyServicer
from service.servicers.admin import AdminServicer
from service.servicers.service_accounts import ServiceAccountServicer
from service.servicers.teams import TeamServicer


def operating(
    books: Books, authentic: Authentication, limits: Limits, waiting: Callable[[str], int]
) -> Sequence[object]:
    """Makes them; *waiting* counts a team's calls that wait for their turn towards Cohere."""
    return (
        AdminServicer(books),
        AccessKeyServicer(books, authentic.identities),
        ServiceAccountServicer(books, authentic.identities, authentic.accounts),
        TeamServicer(books, limits, waiting),
    )

"""Checks a request against its bounds, all violations at once. Pure: nothing is changed or fetched.

Of what goes to Cohere only what is documented to fail, what could cost more than its terms say, or what could
not be put into JSON faithfully is refused; everything else is Cohere's to judge.
"""

from service.validation.access_keys import (
    violations_of_create_access_key,
    violations_of_list_access_keys,
    violations_of_revoke_access_key,
    violations_of_rotate_access_key,
)
from service.validation.admin import violations_of_adjust_budget, violations_of_list_audit, violations_of_set_frozen
from service.validation.chat import violations_of_chat
from service.validation.embed import violations_of_embed
from service.validation.input_size import input_bytes
from service.validation.rerank import violations_of_rerank
from service.validation.rotate_key import violations_of_rotate_key
from service.validation.service_accounts import (
    violations_of_create_service_account,
    violations_of_list_service_accounts,
    violations_of_revoke_service_account,
)
from service.validation.teams import violations_of_get_team, violations_of_list_teams
from service.validation.usage import violations_of_get_usage, violations_of_usage_window
from service.validation.violation import VIOLATIONS_MAX, Violation, ViolationReason

__all__ = [
    "VIOLATIONS_MAX",
    "Violation",
    "ViolationReason",
    "input_bytes",
    "violations_of_adjust_budget",
    "violations_of_chat",
    "violations_of_create_access_key",
    "violations_of_create_service_account",
    "violations_of_embed",
    "violations_of_get_team",
    "violations_of_get_usage",
    "violations_of_list_access_keys",
    "violations_of_list_audit",
    "violations_of_list_service_accounts",
    "violations_of_list_teams",
    "violations_of_rerank",
    "violations_of_revoke_access_key",
    "violations_of_revoke_service_account",
    "violations_of_rotate_access_key",
    "violations_of_rotate_key",
    "violations_of_set_frozen",
    "violations_of_usage_window",
]

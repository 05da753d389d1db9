"""Which scopes open each RPC. Deny by default: an RPC that stands in no line here fails start-up."""

from typing import get_args

from service.config.values import Scope

ADMIN = "admin"
"""Opens the operators' RPCs, and other teams' figures where an RPC shows one's own."""

SCOPES = frozenset(get_args(Scope))
"""All that there are."""

SCOPES_OF_RPC: dict[str, tuple[str, ...]] = {
    "/cohort.v1.GatewayService/Chat": ("chat",),
    "/cohort.v1.GatewayService/ChatStream": ("chat",),
    "/cohort.v1.GatewayService/Embed": ("embed",),
    "/cohort.v1.GatewayService/Rerank": ("rerank",),
    "/cohort.v1.GatewayService/GetUsage": ("usage:read", ADMIN),
    "/cohort.v1.GatewayService/RotateKey": ("keys:rotate", ADMIN),
    "/cohort.v1.AdminService/SetTeamFrozen": (ADMIN,),
    "/cohort.v1.AdminService/AdjustBudget": (ADMIN,),
    "/cohort.v1.AdminService/ListAuditRecords": ("audit:read", ADMIN),
    "/cohort.v1.AdminService/CreateAccessKey": (ADMIN,),
    "/cohort.v1.AdminService/ListAccessKeys": (ADMIN,),
    "/cohort.v1.AdminService/RotateAccessKey": ("keys:rotate", ADMIN),
    "/cohort.v1.AdminService/RevokeAccessKey": (ADMIN,),
    "/cohort.v1.AdminService/CreateServiceAccount": (ADMIN,),
    "/cohort.v1.AdminService/ListServiceAccounts": (ADMIN,),
    "/cohort.v1.AdminService/RevokeServiceAccount": (ADMIN,),
    "/cohort.v1.AdminService/ListTeams": ("usage:read", ADMIN),
    "/cohort.v1.AdminService/GetTeam": ("usage:read", ADMIN),
}
"""Any one of them is enough. The first is the narrowest: a refusal names it."""

"""Which scopes open each RPC. Deny by default: an RPC that stands in no line here fails start-up."""

ADMIN = "admin"
"""Opens the operators' RPCs, and other teams' figures where an RPC shows one's own."""

SCOPES_OF_RPC: dict[str, tuple[str, ...]] = {
    "/cohort.v1.GatewayService/Chat": ("chat",),
    "/cohort.v1.GatewayService/ChatStream": ("chat",),
    "/cohort.v1.GatewayService/Embed": ("embed",),
    "/cohort.v1.GatewayService/Rerank": ("rerank",),
    "/cohort.v1.GatewayService/GetUsage": ("usage:read", ADMIN),
    "/cohort.v1.AdminService/SetTeamFrozen": (ADMIN,),
    "/cohort.v1.AdminService/AdjustBudget": (ADMIN,),
    "/cohort.v1.AdminService/ListAuditRecords": ("audit:read", ADMIN),
}
"""Any one of them is enough. The first is the narrowest: a refusal names it."""

"""Which scope each RPC needs. Deny by default: an RPC that stands in no line here fails start-up."""

SCOPE_OF_RPC = {
    "/cohort.v1.GatewayService/Chat": "chat",
    "/cohort.v1.GatewayService/ChatStream": "chat",
    "/cohort.v1.GatewayService/Embed": "embed",
    "/cohort.v1.GatewayService/Rerank": "rerank",
}

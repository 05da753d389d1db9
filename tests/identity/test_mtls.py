"""Callers with client certificates, over real TLS: who they are, and who they are not."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from tests.e2e.requests import chat, embed, refused
from tests.identity.authority import Authority, Issued, uris, usage
from tests.identity.mtls_service import EMBEDDER, INDEXER, NARROW, OPERATOR, Mtls, mtls

NARROW_MODEL = "command-r7b-12-2024"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Mtls]:
    async with mtls(tmp_path) as running:
        yield running


async def test_a_known_id_calls_and_stands_in_the_log_and_the_records(service: Mtls) -> None:
    async with service.caller(service.prod.workload(INDEXER)) as stub:
        answer = await stub.Chat(chat())
    (line,) = service.cohort.lines()
    intents = [record for record in await service.records() if record.get("attempt") == 1 and "rpc" in record]

    assert answer.receipt.call_id
    for said in (line, *intents):
        assert said["principal"] == "indexer"
        assert said["method"] == "mtls"
        assert said["credential_id"] == said["certificate"] == INDEXER
    assert len(intents) == 1
    assert line["team"] == "demo"


async def test_the_serving_line_names_the_port(service: Mtls) -> None:
    (line,) = service.cohort.lines("serving")

    assert line["mtls_port"] == service.cohort.service.mtls_port
    assert line["port"] == service.cohort.service.port != line["mtls_port"]


async def test_an_intermediate_authority_is_followed_to_the_bundle(service: Mtls) -> None:
    async with service.caller(Authority("near", Authority("far", service.prod)).workload(INDEXER)) as stub:
        assert (await stub.Chat(chat())).receipt.call_id


async def problem_of(service: Mtls, issued: Issued) -> object:
    """What the log says of a caller that is refused as all are."""
    async with service.caller(issued) as stub:
        refusal = await refused(stub.Chat(chat()))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_REJECTED")
    assert "spiffe" not in refusal.message
    return service.cohort.lines()[-1]["credential_problem"]


async def test_an_unknown_id_is_refused(service: Mtls) -> None:
    stranger = "spiffe://prod.example.com/search/stranger"
    problem = await problem_of(service, service.prod.workload(stranger))
    (record,) = [record for record in await service.records() if record.get("code") == "UNAUTHENTICATED"]

    assert problem == f"unknown SPIFFE id {stranger}"
    assert record["credential_problem"] == problem
    assert record["certificate"] == stranger


@pytest.mark.parametrize(
    "id_", [f"{INDEXER}/x", INDEXER.removesuffix("r"), INDEXER.upper().replace("SPIFFE", "spiffe")]
)
async def test_an_id_is_compared_whole(service: Mtls, id_: str) -> None:
    assert await problem_of(service, service.prod.workload(id_))


async def test_an_id_signed_by_another_trust_domain_is_refused_though_tls_takes_it(service: Mtls) -> None:
    problem = await problem_of(service, service.ops.workload(INDEXER))

    assert str(problem).startswith("client certificate not of its trust domain: ")
    assert "certificate" not in service.cohort.lines()[-1]


async def test_a_certificate_without_exactly_one_id_is_refused(service: Mtls) -> None:
    for names in ([], [x509.DNSName("prod.example.com")], uris(INDEXER, EMBEDDER), uris(INDEXER, "https://a.example/")):
        problem = await problem_of(service, service.prod.issue(names))

        assert problem == "client certificate without exactly one SPIFFE id"


async def test_a_certificate_of_an_authority_is_refused(service: Mtls) -> None:
    signer = service.prod.issue(uris(INDEXER), ca=True, key_usage=usage("digital_signature", "key_cert_sign"))

    assert await problem_of(service, signer) == "client certificate of an authority"


async def test_an_id_may_do_what_its_scopes_open(service: Mtls) -> None:
    async with service.caller(service.prod.workload(EMBEDDER)) as stub:
        await stub.Embed(embed())
        refusal = await refused(stub.Chat(chat()))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")


async def test_an_id_may_be_held_to_fewer_models_and_tokens_than_its_team(service: Mtls) -> None:
    async with service.caller(service.prod.workload(NARROW)) as stub:
        other_model = await refused(stub.Chat(chat()))
        too_many = await refused(stub.Chat(chat(model=NARROW_MODEL, max_tokens=8)))
        answer = await stub.Chat(chat(model=NARROW_MODEL))

    assert other_model.reason == "MODEL_NOT_ALLOWED"
    assert too_many.reason == "MAX_TOKENS_ABOVE_CAP"
    assert answer.receipt.call_id


async def test_an_access_key_over_mtls_is_judged_by_the_key_alone(service: Mtls) -> None:
    cases = [
        (service.prod.workload(INDEXER), INDEXER),
        (service.prod.workload("spiffe://prod.example.com/unknown"), "spiffe://prod.example.com/unknown"),
        (service.ops.workload(INDEXER), None),
        (service.prod.issue([x509.DNSName("proxy")]), None),
    ]
    for issued, recorded in cases:
        async with service.caller(issued) as stub:
            await stub.Embed(embed(), metadata=service.cohort.credentials)
            wrong = await refused(stub.Chat(chat(), metadata=(("x-api-key", "wrong"),)))
        called, refusal = service.cohort.lines()[-2:]

        assert (called["principal"], called["method"]) == ("tests", "access_key")
        assert called.get("certificate") == refusal.get("certificate") == recorded
        assert wrong.reason == "CREDENTIAL_REJECTED"


FORWARDED = (
    ("x-forwarded-client-cert", f"By=spiffe://a/b;URI={OPERATOR}"),
    ("x-forwarded-client-cert", f"URI={INDEXER}"),
    ("x-spiffe-id", INDEXER),
    ("x-client-cert", "-----BEGIN CERTIFICATE-----"),
    ("ssl-client-subject-dn", "CN=indexer"),
    ("x-remote-user", "indexer"),
)


async def test_no_header_makes_anyone_somebody(service: Mtls) -> None:
    async with service.caller(None, mutual=False) as stub:
        nobody = await refused(stub.Chat(chat(), metadata=FORWARDED))
        await stub.Chat(chat(), metadata=(*service.cohort.credentials, *FORWARDED))
    async with service.caller(service.prod.workload(EMBEDDER)) as stub:
        await stub.Embed(embed(), metadata=FORWARDED)
        embedder = await refused(stub.Chat(chat(), metadata=FORWARDED))
    lines = service.cohort.lines()

    assert nobody.reason == "CREDENTIAL_MISSING"
    assert embedder.reason == "SCOPE_MISSING"
    assert [(line.get("principal"), line.get("certificate")) for line in lines] == [
        (None, None),
        ("tests", None),
        ("embedder", EMBEDDER),
        ("embedder", EMBEDDER),
    ]


async def test_a_certificate_shown_to_the_port_that_asks_for_none_is_not_looked_at(service: Mtls) -> None:
    async with service.caller(service.prod.workload(INDEXER), mutual=False) as stub:
        refusal = await refused(stub.Chat(chat()))

    assert refusal.reason == "CREDENTIAL_MISSING"

"""`cohort service-accounts create`: makes a key pair here, and an account of its public half.

The private key is printed, with all that signing a token takes, and is nowhere else: Cohort never has it.
"""

import argparse
import json
import uuid

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cohort.client.service_account import KIND
from cohort.v1.service_account_pb2 import CreateServiceAccountRequest, CreateServiceAccountResponse
from service.cli import calling
from service.cli.grants import add_grant
from service.cli.shown_once import show_once

_ADVICE = "if it was made, nobody has its private key: look in `cohort service-accounts list`, and revoke it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_grant(parser, "what its tokens may ask for, e.g. chat,embed")
    parser.add_argument(
        "--algorithm", choices=("EdDSA", "ES256"), default="EdDSA", help="what it signs with (default: %(default)s)"
    )
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    key = ec.generate_private_key(ec.SECP256R1()) if arguments.algorithm == "ES256" else Ed25519PrivateKey.generate()
    public_key = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    request = CreateServiceAccountRequest(
        team=arguments.team,
        name=arguments.name,
        scopes=arguments.scopes,
        models=arguments.models,
        max_tokens_per_call=arguments.max_tokens_per_call,
        public_key=public_key,
        request_id=str(uuid.uuid4()),
    )
    with calling.caller(arguments) as caller:
        made = caller.make(caller.admin.CreateServiceAccount, request, _ADVICE)
    account = made.service_account
    show_once(
        _file(made, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()),
        f"Made service account {account.id}; its private key is shown this once and stored nowhere.",
    )
    return 0


def _file(made: CreateServiceAccountResponse, private_key: str) -> str:
    account = made.service_account
    members = {
        "type": KIND,
        "id": account.id,
        "team": account.team,
        "name": account.name,
        "scopes": [*account.scopes],
        "audience": made.audience,
        "org_id": made.organisation,
        "algorithm": account.algorithm,
        "private_key": private_key,
    }
    return json.dumps(members, indent=2, ensure_ascii=False) + "\n"

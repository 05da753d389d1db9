"""What one config says, made ready for calls: what each team may use, how it reaches Cohere.

Immutable; a reload makes a new one. A call keeps the snapshot it began with.
"""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from yarl import URL

from clients.errors import SecretMissing
from clients.key_ring import KeyRing
from clients.pacing.allowance import Allowance
from clients.secrets.reference import reference_of
from clients.teams import TeamClient
from service.config import ConfigError, LoadedConfig, TeamConfig
from service.followed import FileUnusable, problem_of
from service.identity.bundle import Bundle, bundle_of
from service.limits.limit import TeamLimits
from service.limits.tiers import limits_of
from service.money import nanos_of_usd
from service.pacing.allowances import allowances_of
from service.policy import Policy
from service.pricing import book as price_book
from service.pricing.book import PriceBook
from service.pricing.moves import check_moves
from service.pricing.price_file import PriceBookError

PEPPER_BYTES_MIN = 32


@dataclass(frozen=True, slots=True)
class BudgetTerms:
    """What a team's calls may cost in one day, and whose days they are. Both are read anew for every call."""

    limit_nanos: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state that calls read."""

    loaded: LoadedConfig
    policies: dict[str, Policy]
    clients: dict[str, TeamClient]
    budgets: dict[str, BudgetTerms]
    limits: dict[str, TeamLimits]
    allowances: dict[str, Allowance]
    """What Cohere's limits allow the teams' keys; teams that are not paced are absent."""
    price_book: PriceBook
    alert_cost_nanos: int
    """From which cost on, in nano-USD, a single call is told of."""
    peppers: dict[str, bytes] = field(repr=False)
    """Pepper version → pepper."""
    bundles: dict[str, Bundle]
    """Trust domain → its authorities."""
    client_secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """What the config calls an issuer of opaque tokens → the secret of the client that we are there."""

    @property
    def pepper_version(self) -> str:
        """The version of the pepper that new credentials are kept under; there must be one."""
        return self.loaded.config.identity.pepper_version or max(self.peppers, key=int)

    def policy_of(self, team: str) -> Policy:
        """The team's policy; every principal's team has one."""
        return self.policies[team]

    def client_of(self, team: str) -> TeamClient:
        """The team's way to Cohere; every principal's team has one."""
        return self.clients[team]

    def budget_of(self, team: str) -> BudgetTerms:
        """The team's budget; every principal's team has one."""
        return self.budgets[team]


def snapshot_of(loaded: LoadedConfig, before: Snapshot | None = None) -> Snapshot:
    """Makes the snapshot of a config.

    Args:
        loaded: The config.
        before: The snapshot in force, whose Cohere keys stay in use, whose trust bundles in memory stay if their file
            did not change, and from whose prices the new ones do not move far.

    Raises:
        ConfigError: With every pepper, trust bundle and client secret that cannot be read or used and every price that
            cannot be used. A missing Cohere key is no such error: it stops its own team only.
    """
    config = loaded.config
    problems: list[str] = []
    peppers = _peppers(loaded, problems)
    bundles = _bundles(loaded, before, problems)
    client_secrets = _client_secrets(loaded, problems)
    prices = _price_book(loaded, before, problems)
    if prices is None or problems:
        raise ConfigError(problems)
    return Snapshot(
        loaded=loaded,
        peppers=peppers,
        bundles=bundles,
        client_secrets=client_secrets,
        policies={name: _policy(name, team) for name, team in config.teams.items()},
        clients={name: _client(loaded, name, team, before) for name, team in config.teams.items()},
        budgets={name: _budget(team) for name, team in config.teams.items()},
        limits={name: limits_of(name, team) for name, team in config.teams.items()},
        allowances=allowances_of(config.teams, config.cohere.pacing),
        price_book=prices,
        alert_cost_nanos=nanos_of_usd(config.books.alert_cost_usd),
    )


def require_small_moves(before: PriceBook | None, after: PriceBook) -> None:
    """Holds a price book against the one before.

    Raises:
        ConfigError: A price moves further than it may without being confirmed.
    """
    problems = [f"books.prices: {problem}" for problem in check_moves(before, after)]
    if problems:
        raise ConfigError(problems)


def _peppers(loaded: LoadedConfig, problems: list[str]) -> dict[str, bytes]:
    peppers: dict[str, bytes] = {}
    for version, reference in loaded.config.peppers.items():
        try:
            pepper = loaded.secret(reference).read().encode()
        except SecretMissing as missing:
            problems.append(f"peppers.{version}: {missing}")
            continue
        if len(pepper) < PEPPER_BYTES_MIN:
            short = f"shorter than {PEPPER_BYTES_MIN} bytes, so it could be guessed"
            problems.append(f"peppers.{version}: {short}; make one with `openssl rand -hex 32`")
        peppers[version] = pepper
    return peppers


def _client_secrets(loaded: LoadedConfig, problems: list[str]) -> dict[str, str]:
    secrets: dict[str, str] = {}
    for name, issuer in loaded.config.identity.issuers.items():
        if issuer.client_secret is not None:
            try:
                secrets[name] = loaded.secret(issuer.client_secret).read()
            except SecretMissing as missing:
                problems.append(f"identity.issuers.{name}.client_secret: {missing}")
    return secrets


def _bundles(loaded: LoadedConfig, before: Snapshot | None, problems: list[str]) -> dict[str, Bundle]:
    bundles: dict[str, Bundle] = {}
    for name, domain in loaded.config.identity.trust_domains.items():
        file = loaded.path(domain.bundle_file)
        known = before.bundles.get(name) if before else None
        if known is not None and known.paths == (file,):
            bundles[name] = known
            continue
        try:
            bundles[name] = bundle_of(file)
        except (OSError, FileUnusable) as error:
            problems.append(f"identity.trust_domains.{name}.bundle_file: {file}: {problem_of(error)}")
    return bundles


def _policy(name: str, team: TeamConfig) -> Policy:
    return Policy(
        team=name,
        endpoints=frozenset(team.endpoints),
        models=frozenset(team.models),
        max_tokens_per_call=team.max_tokens_per_call,
        max_input_tokens_per_call=team.max_input_tokens_per_call,
    )


def _price_book(loaded: LoadedConfig, before: Snapshot | None, problems: list[str]) -> PriceBook | None:
    override = loaded.config.books.prices
    try:
        prices = price_book.load(None if override is None else loaded.path(override))
        require_small_moves(before.price_book if before else None, prices)
    except PriceBookError as error:
        problems += [f"books.prices: {problem}" for problem in error.problems]
        return None
    except ConfigError as error:
        problems += error.problems
        return None
    return prices


def _budget(team: TeamConfig) -> BudgetTerms:
    return BudgetTerms(nanos_of_usd(team.daily_budget_usd), ZoneInfo(team.time_zone))


def _client(loaded: LoadedConfig, name: str, team: TeamConfig, before: Snapshot | None) -> TeamClient:
    known = before.clients.get(name) if before else None
    keys = KeyRing() if known is None else known.keys
    base_url = URL(team.base_url or loaded.config.cohere.base_url)
    return TeamClient(name, base_url, keys, reference_of(team.cohere_key).kind)

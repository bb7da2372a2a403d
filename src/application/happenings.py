"""What the machinery of the house counts, whatever its contexts are."""

from application.ports.observer import Happening

# The name of a refusal by a limit in OWASP's logging vocabulary.
REFUSED = "excess_rate_limit_exceeded"

HAPPENINGS = (
    Happening(
        "cache",
        "cache_reads",
        "outcome",
        "Lists that were kept (`hit`), as of before (`stale`) or not (`miss`); of these `shared` in Redis or `forged`.",
        ("hit", "miss", "stale", "shared", "unavailable", "forged"),
    ),
    Happening(
        "commit_unknown", "commit_unknown", "outcome", "Commits of which nobody knows whether they happened.", ("lost",)
    ),
    Happening(
        "consumed",
        "consumed_events",
        "outcome",
        "Events that a consumer has done, pieces of the work that one of them makes, and attempts that failed.",
        ("done", "piece", "failed"),
    ),
    Happening(
        "denied",
        "denied",
        "kind",
        "Requests, and commands over live connections, that lacked a right.",
        ("request", "command"),
        {"request": "authz_fail", "command": "authz_fail"},
    ),
    Happening(
        "dropped",
        "ws_dropped",
        "kind",
        "Signals that a congested peer never got: ephemeral ones, and values that a newer one superseded.",
        ("ephemeral", "superseded"),
    ),
    Happening(
        "elapsed",
        "elapsed",
        "outcome",
        "Things that were due and were seen to; `overtaken`: somebody else was faster, `failed`: they are tried again.",
        ("done", "overtaken", "failed"),
    ),
    Happening(
        "gap",
        "gaps",
        "source",
        "Holes in what the broker brought, filled from the journal; `head`: found by the check of the heads.",
        ("hint", "head"),
    ),
    Happening(
        "hint_refused",
        "hints_refused",
        "reason",
        "Messages over Redis that were dropped; `forged`: no process under the same secret sent them there.",
        ("forged", "unreadable"),
    ),
    Happening(
        "idempotent_replay",
        "idempotent_replays",
        "kind",
        "Answers that were given again under their idempotency key.",
        ("request", "call"),
    ),
    Happening(
        "origin_rejected",
        "origin_rejected",
        "kind",
        "Pages of foreign sites that were kept out.",
        ("cookie", "preflight", "upgrade"),
        {"cookie": "authz_fail", "preflight": "authz_fail", "upgrade": "authz_fail"},
    ),
    Happening(
        "position_check",
        "position_checks",
        "outcome",
        "Checks of the heads of all followed streams; `behind`: a reader had not come to one of them yet.",
        ("level", "behind", "unavailable"),
    ),
    Happening(
        "rate_limited",
        "rate_limited",
        "policy",
        "Refusals by a rate limit.",
        ("request", "in_hand", "unconnected"),
        {"request": REFUSED, "in_hand": REFUSED, "unconnected": REFUSED},
    ),
    Happening(
        "resume",
        "resumes",
        "outcome",
        "Channels that were resumed, or why their position meant nothing: a resync.",
        ("recovered", "offset", "epoch", "pruned"),
    ),
    Happening(
        "retry",
        "tx_retries",
        "reason",
        "Use cases that were run again because what they were built on had changed.",
        ("stale",),
    ),
    Happening(
        "socket_closed",
        "ws_closed",
        "code",
        "Live connections that ended: by the server with a code of its own, by the peer, or by the network.",
        (
            *("by_peer", "lost", "1002", "1007", "1009", "4001", "4002", "4003", "4004", "4008"),
            *("4100", "4101", "4103", "4104", "4105", "4200", "4300"),
        ),
    ),
    Happening(
        "socket_opened",
        "ws_opened",
        "status_code",
        "Upgrades to live connections by the status of their answer.",
        ("101", "401", "403", "429", "503"),
    ),
    Happening(
        "token_rejected",
        "token_rejected",
        "reason",
        "Access tokens that were no good.",
        ("token_invalid", "token_expired", "session_ended", "credential_revoked", "network_not_allowed"),
        {"token_expired": "session_use_after_expire", "session_ended": "session_use_after_expire"},
    ),
)

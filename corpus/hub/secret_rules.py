"""What looks like a secret: the rules of detect-secrets, ours for this field's services, and the environment's.

detect-secrets (the fork `bc-detect-secrets`, which Checkov maintains) brings the rules of common services; its checks
of keywords and entropy are left out, since masks and hashes in our columns are as random as keys.
"""

import base64
import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from urllib.parse import quote

from detect_secrets.plugins.artifactory import ArtifactoryDetector
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.cloudant import CloudantDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.ibm_cloud_iam import IbmCloudIamDetector
from detect_secrets.plugins.ibm_cos_hmac import IbmCosHmacDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.softlayer import SoftlayerDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector

# In RE2 syntax, which Arrow's kernels and Python's `re` both read.
OURS = {
    "an API key": r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}",
    "an HF token": r"\b(?:hf|api_org)_[A-Za-z0-9]{16,}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
    "a GitLab token": r"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_-]{20,}",
    "an AWS key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    "a Google key": r"\bAIza[A-Za-z0-9_-]{30,}|\bya29\.[A-Za-z0-9_-]{20,}|\bGOCSPX-[A-Za-z0-9_-]{20,}",
    "a Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-\d-[A-Za-z0-9-]{10,}",
    "a webhook": r"https://(?:hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks)/[\w/-]{20,}",
    "a Telegram token": r"\b\d{8,10}:AA[A-Za-z0-9_-]{32,}",
    "a Twilio key": r"\b(?:AC|SK)[0-9a-f]{32}\b",
    "a PyPI token": r"\bpypi-[A-Za-z0-9_-]{40,}",
    "a model service's key": r"\b(?:gsk_|xai-|r8_|pplx-|nvapi-|fw_|tgp_v1_|csk-|jina_|tvly-|voyage-|dapi)"
    r"[A-Za-z0-9_-]{24,}",
    "a service token": r"\b(?:dop_v1_|doo_v1_|dckr_pat_|"
    r"hvs\.|lin_api_|ntn_|secret_|shpat_|phc_|rubygems_|lsv2_[a-z]{2}_)"
    r"[A-Za-z0-9_-]{24,}",
    "an Azure key": r"(?i)\b(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{40,}={0,2})",
    "an Azure signature": r"(?i)[?&]sig=([A-Za-z0-9%+/]{40,})",
    "a signed URL": r"(?i)[?&]X-(?:Amz|Goog)-Signature=([0-9a-f]{32,})",
    "a bearer token": r"(?i)\bbearer[ :=]+([A-Za-z0-9._~+/-]{16,})",
    "an Authorization header": r"(?i)\bauthorization\\?[\"']?\s*[:=]\s*\\?[\"']?"
    r"(?:basic|token|apikey)\s+([A-Za-z0-9._~+/=-]{12,})",
    "a private key": r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\bAGE-SECRET-KEY-1[0-9A-Z]{20,}",
    "a password in a URL": r"\b[a-z][a-z0-9+.-]{1,15}://[^\s:/@\"'<>]*:([^\s:/@\"'<>]{3,})@[\w.-]",
}
# A name that says it is secret, and a value with letters and digits that looks random.
_ASSIGNED = (
    r"(?i)(?:api_?-?key|access_?-?key|secret|auth_?-?token|access_?-?token|refresh_?-?token|passw(?:or)?d|passphrase|"
    r"client_?-?secret|private_?-?key|credentials?|wandb_?-?(?:api_?)?key|hf_?token)[\w.-]{0,20}"
    r"\\?[\"']?\s{0,3}(?:=>|:=|=|:)\s{0,3}\\?[\"']?([^\s\"'\\,;<>{}()\[\]]{12,})"
)
ASSIGNED = "a value assigned to a secret's name"
_LEAST_ENTROPY = 3.0  # bits a character; English words have some 2.5 to 3, random keys over 3.5

_DETECTORS: tuple[type[RegexBasedDetector], ...] = (
    ArtifactoryDetector, AWSKeyDetector, BasicAuthDetector, CloudantDetector, DiscordBotTokenDetector,
    GitHubTokenDetector, IbmCloudIamDetector, IbmCosHmacDetector, JwtTokenDetector, MailchimpDetector, NpmDetector,
    PrivateKeyDetector, SendGridDetector, SlackDetector, SoftlayerDetector, SquareOAuthDetector, StripeDetector,
)  # fmt: skip
# What RE2 cannot read of theirs (it has no look-behind): each needs one of these words and a value behind it.
_FOR_THE_REST = (
    r"(?i:(?:key|pwd|pw|pass|password|token)[\"'\]]{0,2} {0,9}(?:=|:| ) {0,9}[\"'=:>]{0,3} {0,9}[\"']?[a-z0-9_-]{24})"
)

_ROOTS = "home|Users|root|mnt|tmp|var|opt|data|scratch|workspace|nfs|gpfs|lustre|srv|private|Volumes|work|fsx|efs"
PATHS = {
    "an absolute path": r"""(?:^|[\s"'=(\[:,;`])((?:/(?:"""
    + _ROOTS
    + r""")/[\w.~@+-]+)|file://|[A-Za-z]:\\{1,2}(?:Users|home|data)\\)""",
}
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|_PAT)(_?\d+)?$", re.I)
_LEAST_VALUE = 8  # characters of an environment variable's value; shorter ones are words of any text


@cache
def _theirs() -> dict[str, tuple[re.Pattern[str], ...]]:
    return {
        f"{detector.secret_type} (detect-secrets)": tuple(
            pattern if isinstance(pattern, re.Pattern) else re.compile(pattern) for pattern in detector().denylist
        )
        for detector in _DETECTORS
    }


class Rules:
    """The rules, with the values of this process's secret environment variables among them."""

    def __init__(self) -> None:
        own = {**OURS, **PATHS}
        for name, value in sorted(os.environ.items()):
            if _SECRET_NAME.search(name) and len(value) >= _LEAST_VALUE and not value.startswith("/"):
                own[f"the value of ${name}"] = "|".join(map(re.escape, sorted(_forms(value))))
        self._own: dict[str, tuple[re.Pattern[str], ...]] = {
            what: (re.compile(pattern),) for what, pattern in own.items()
        }
        self._assigned = re.compile(_ASSIGNED)
        theirs = [pattern for patterns in _theirs().values() for pattern in patterns]
        readable = [_scoped(pattern) for pattern in theirs if "(?<" not in pattern.pattern]
        self.candidates = [
            "|".join(f"(?:{_inline(pattern)})" for pattern in part)
            for part in (own.values(), [*readable, _FOR_THE_REST], [_ASSIGNED])
        ]
        """RE2 patterns; text that none of them matches holds nothing that `find` would report."""

    def find(self, text: str) -> Iterator[tuple[str, int, int]]:
        """What `text` holds, with the span of each: our rule's name where ours and detect-secrets' see the same."""
        spans: list[tuple[int, int]] = []
        for what, patterns in self._own.items():
            for start, end in _spans(patterns, text):
                spans.append((start, end))
                yield what, start, end
        for what, patterns in _theirs().items():
            for start, end in _spans(patterns, text):
                if not any(start < other_end and other_start < end for other_start, other_end in spans):
                    spans.append((start, end))
                    yield what, start, end
        for found in self._assigned.finditer(text):
            start, end = found.span(1)
            if _looks_random(found[1]) and not any(start < b and a < end for a, b in spans):
                yield ASSIGNED, start, end


def _spans(patterns: tuple[re.Pattern[str], ...], text: str) -> Iterator[tuple[int, int]]:
    """The span of the secret within each match: its longest group if that is more than a prefix, else all of it."""
    for pattern in patterns:
        for found in pattern.finditer(text):
            groups = [found.span(i) for i in range(1, (pattern.groups or 0) + 1) if found[i] and len(found[i]) >= 3]
            longest = max(groups, key=lambda span: span[1] - span[0], default=found.span())
            yield longest if longest[1] - longest[0] >= 6 else found.span()


def _forms(value: str) -> set[str]:
    """A value as it is, quoted for a URL, and in base64."""
    plain = base64.b64encode(value.encode()).decode().rstrip("=")
    return {value, quote(value, safe=""), plain}


def _looks_random(value: str) -> bool:
    if not (re.search(r"\d", value) and re.search(r"[A-Za-z]", value)):
        return False
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values()) >= _LEAST_ENTROPY


def _scoped(pattern: re.Pattern[str]) -> str:
    return f"(?i:{pattern.pattern})" if pattern.flags & re.I else pattern.pattern


def _inline(pattern: str) -> str:
    """`(?i)abc` as `(?i:abc)`: a flag for the whole pattern may stand only at its start."""
    return f"(?i:{pattern.removeprefix('(?i)')})" if pattern.startswith("(?i)") else pattern

//! The words that a secret can begin with, all in one automaton, and what each of them calls for.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::names::{self, Kind};
use crate::spans::Span;
use crate::tokens;

/// What is done where a trigger stands.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Name(Kind),
    /// A token with a well-known beginning, which goes on for at least so many characters.
    Token(usize),
    Vault,
    JsonWebToken,
    Scheme,
    PrivateKey,
    UserInfo,
    SignedQuery,
    Mail,
    Home,
}

use Kind::{Capitals, Everyday, Header, Narrow, Query, Wide};
use Rule::{Home, JsonWebToken, Mail, Name, PrivateKey, Scheme, SignedQuery, Token, UserInfo, Vault};

#[rustfmt::skip]
const TRIGGERS: &[(&str, Rule)] = &[
    ("password", Name(Wide)), ("passwords", Name(Wide)), ("passwd", Name(Wide)), ("passphrase", Name(Wide)),
    ("secret", Name(Wide)), ("secrets", Name(Wide)), ("credential", Name(Wide)), ("credentials", Name(Wide)),
    ("cookie", Name(Header)), ("cookies", Name(Header)), ("authorization", Name(Header)), ("mnemonic", Name(Wide)),
    ("connection_string", Name(Wide)), ("connectionstring", Name(Wide)), ("passcode", Name(Narrow)),
    ("token", Name(Narrow)), ("secret_id", Name(Narrow)), ("secretid", Name(Narrow)), ("secret-id", Name(Narrow)),
    ("secretaccesskey", Name(Narrow)), ("device_code", Name(Narrow)), ("user_code", Name(Narrow)),
    ("code_verifier", Name(Narrow)), ("session_id", Name(Narrow)), ("sessionid", Name(Narrow)),
    ("client_assertion", Name(Narrow)), ("assertion", Name(Narrow)), ("jwt", Name(Everyday)),
    ("apikey", Name(Narrow)), ("api_key", Name(Narrow)), ("api-key", Name(Narrow)), ("api key", Name(Narrow)),
    ("access_key", Name(Narrow)), ("access-key", Name(Narrow)), ("accesskey", Name(Narrow)),
    ("access_key_id", Name(Narrow)), ("accesskeyid", Name(Narrow)), ("secret_key", Name(Narrow)),
    ("secret-key", Name(Narrow)), ("secretkey", Name(Narrow)), ("private_key", Name(Narrow)),
    ("private-key", Name(Narrow)), ("privatekey", Name(Narrow)), ("account_key", Name(Narrow)),
    ("accountkey", Name(Narrow)), ("encryption_key", Name(Narrow)), ("encryptionkey", Name(Narrow)),
    ("signing_key", Name(Narrow)), ("signingkey", Name(Narrow)), ("master_key", Name(Narrow)),
    ("masterkey", Name(Narrow)), ("auth_key", Name(Narrow)), ("authkey", Name(Narrow)), ("auth-key", Name(Narrow)),
    ("session_key", Name(Narrow)), ("license_key", Name(Narrow)), ("ssh_key", Name(Narrow)),
    ("deploy_key", Name(Narrow)), ("key_base", Name(Narrow)), ("webhook", Name(Narrow)), ("webhook_url", Name(Narrow)),
    ("_key", Name(Capitals)), ("pass", Name(Everyday)), ("pwd", Name(Everyday)), ("auth", Name(Everyday)),
    ("pin", Name(Everyday)), ("otp", Name(Everyday)), ("dsn", Name(Everyday)), ("creds", Name(Everyday)),
    ("code", Name(Query)), ("sig", Name(Query)), ("key", Name(Query)), ("signature", Name(Query)),
    ("x-amz-signature", Name(Narrow)), ("x-amz-credential", Name(Narrow)),

    ("x-amz-signature", SignedQuery), ("x-amz-credential", SignedQuery), ("x-amz-security-token", SignedQuery),
    ("x-amz-algorithm", SignedQuery), ("x-goog-signature", SignedQuery), ("x-goog-credential", SignedQuery),
    ("awsaccesskeyid=", SignedQuery), ("key-pair-id=", SignedQuery), ("signature=", SignedQuery), ("sig=", SignedQuery),

    ("ietk_", Token(8)), ("hf_", Token(16)), ("api_org_", Token(16)), ("ghp_", Token(16)), ("gho_", Token(16)),
    ("ghu_", Token(16)), ("ghs_", Token(16)), ("ghr_", Token(16)), ("github_pat_", Token(16)), ("glpat-", Token(12)),
    ("gldt-", Token(12)), ("glrt-", Token(12)), ("xoxa-", Token(10)), ("xoxb-", Token(10)), ("xoxp-", Token(10)),
    ("xoxr-", Token(10)), ("xoxs-", Token(10)), ("xoxe.", Token(10)), ("xapp-", Token(10)), ("sk-", Token(16)),
    ("sk_live_", Token(10)), ("sk_test_", Token(10)), ("rk_live_", Token(10)), ("rk_test_", Token(10)),
    ("whsec_", Token(16)), ("AKIA", Token(16)), ("ASIA", Token(16)), ("AIza", Token(30)), ("ya29.", Token(16)),
    ("GOCSPX-", Token(16)), ("nvapi-", Token(16)), ("r8_", Token(20)), ("rpa_", Token(20)), ("gsk_", Token(20)),
    ("npm_", Token(30)), ("pypi-", Token(16)), ("dckr_pat_", Token(16)), ("dop_v1_", Token(16)),
    ("doo_v1_", Token(16)), ("shpat_", Token(16)), ("SG.", Token(30)), ("hvs.", Token(16)), ("hvb.", Token(16)),
    ("hvr.", Token(16)), ("AGE-SECRET-KEY-1", Token(16)), ("tskey-", Token(12)), ("dapi", Token(32)),
    ("lin_api_", Token(16)), ("xkeysib-", Token(16)), ("ATATT3", Token(16)), ("sbp_", Token(20)),
    ("wandb_v1_", Token(16)), ("tvly-", Token(16)), ("pplx-", Token(20)), ("xai-", Token(20)), ("PMAK-", Token(16)),
    ("s.", Vault), ("b.", Vault), ("eyj", JsonWebToken),
    ("bearer", Scheme), ("basic", Scheme), ("dpop", Scheme), ("negotiate", Scheme),
    ("-----begin ", PrivateKey), ("://", UserInfo), (":\\/\\/", UserInfo), ("@", Mail), ("%40", Mail),
    ("/home/", Home), ("/users/", Home), (":\\users\\", Home), (":\\\\users\\\\", Home), (":/users/", Home),
];

static AUTOMATON: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .prefilter(false)
        .build(TRIGGERS.iter().map(|(word, _)| word))
        .unwrap_or_else(|error| unreachable!("a fixed list of words is sound: {error}"))
});

/// Adds every piece that must go. True when a private key begins that this line does not end.
pub(crate) fn find(line: &[u8], found: &mut Vec<Span>) -> bool {
    let mut key_goes_on = false;
    for hit in AUTOMATON.find_overlapping_iter(line) {
        let (word, rule) = TRIGGERS[hit.pattern().as_usize()];
        let (start, end) = (hit.start(), hit.end());
        let span = match rule {
            Name(kind) => names::secret(line, start, end, kind),
            Token(least) => tokens::prefixed(line, start, end, word, least),
            Vault => tokens::vault(line, start, end),
            JsonWebToken => tokens::json_web_token(line, start),
            Scheme => tokens::scheme(line, start, end),
            UserInfo => tokens::user_info(line, end),
            SignedQuery => tokens::signed_query(line, start),
            Mail => tokens::mail(line, start, end),
            Home => tokens::home(line, end),
            PrivateKey => tokens::private_key(line, start).map(|(span, goes_on)| {
                key_goes_on |= goes_on;
                span
            }),
        };
        found.extend(span);
    }
    key_goes_on
}

/// What the compiled set takes of memory, for good.
#[cfg(test)]
pub(crate) fn heap() -> usize {
    AUTOMATON.memory_usage()
}

//! Takes out of log lines what nobody else may read: credentials, keys, addresses, the owner's name.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use regex::bytes::{NoExpand, Regex, RegexBuilder};

/// A private key of any kind is shorter; a `BEGIN` without an `END` must not swallow the log.
const LONGEST_KEY_LINES: u32 = 120;

/// Redacts line by line and remembers whether it is inside a private key that goes over several lines.
#[derive(Debug, Clone)]
pub(crate) struct Redactor {
    /// The last part of the home folder's path: how the owner is called on this PC.
    owner: Option<Arc<Regex>>,
    key_lines_left: u32,
}

impl Redactor {
    pub(crate) fn new(home: Option<&Path>) -> Self {
        Self { owner: home.and_then(owner_of).map(Arc::new), key_lines_left: 0 }
    }

    /// For this PC's owner.
    pub(crate) fn of_this_pc() -> Self {
        Self::new(std::env::home_dir().as_deref())
    }

    /// `text` is one or more lines; the result has as many.
    pub(crate) fn redact(&mut self, text: &[u8]) -> Vec<u8> {
        let mut clean = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let (line, end) = match line.strip_suffix(b"\n") {
                Some(line) => (line, &b"\n"[..]),
                None => (line, &b""[..]),
            };
            clean.extend_from_slice(&self.line(line));
            clean.extend_from_slice(end);
        }
        clean
    }

    fn line<'a>(&mut self, line: &'a [u8]) -> Cow<'a, [u8]> {
        if self.key_lines_left > 0 {
            let end = KEY_END.find(line);
            self.key_lines_left = if end.is_some() { 0 } else { self.key_lines_left - 1 };
            return match end {
                Some(end) => {
                    let rest = self.line(&line[end.end()..]).into_owned();
                    Cow::Owned([b"[redacted]", &rest[..]].concat())
                }
                None => Cow::Borrowed(b"[redacted]"),
            };
        }
        let mut clean = Cow::Borrowed(line);
        for rule in RULES.iter() {
            clean = replace(clean, &rule.pattern, rule.with);
        }
        if let Some(begin) = KEY_BEGIN.find(&clean).map(|found| found.end()) {
            self.key_lines_left = LONGEST_KEY_LINES;
            clean = Cow::Owned([&clean[..begin], b"[redacted]"].concat());
        }
        match &self.owner {
            Some(owner) => replace(clean, owner, "${1}[owner]"),
            None => clean,
        }
    }
}

struct Rule {
    pattern: Regex,
    with: &'static str,
}

/// Names of what nobody else may read.
const SECRETS: &str = concat!(
    "(?:refresh_token|access_token|id_token|device_code|user_code|code_verifier|client_secret|x-nomad-token|",
    r"secret_?id|intro_token|enrolment_token|password|api_?key|cookie|\btoken|\bsecret)",
);

/// In this order: what holds another comes first.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rule = |text: &str, with| Rule { pattern: pattern(text), with };
    let named = |rest: &str| rule(&format!("({SECRETS}{rest}"), "${1}[redacted]");
    vec![
        // A whole key in one line, as JSON writes it.
        rule(
            r"(?s)(-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----).*?(-----END [A-Z0-9 ]*PRIVATE KEY-----)",
            "${1}[redacted]${2}",
        ),
        // The query of a presigned request, also where JSON has written `&` as `\u0026`.
        rule(
            r#"\?(?:[^\s"'\\?<>]|\\u0026)*X-Amz-(?:Signature|Credential|Security-Token|Algorithm)(?:[^\s"'\\<>]|\\u0026)*"#,
            "?[redacted]",
        ),
        rule(
            r#"(X-Amz-(?:Signature|Credential|Security-Token)["'\\]*\s*[=:]\s*["'\\]*)[^\s"'\\&,}]+"#,
            "${1}[redacted]",
        ),
        rule(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*", "[redacted]"),
        rule(r"\b(Bearer|Basic|DPoP)(\s+|%20)[A-Za-z0-9._~+/=-]{8,}", "${1}${2}[redacted]"),
        rule(r"(://)[^\s/@:]+:[^\s/@]+@", "${1}[redacted]@"),
        // A secret by its name: in quotes that are escaped, in plain ones, in single ones, in none. What JSON writes
        // without quotes is a number or a yes, and no secret.
        named(r#"["'\\]*\s*[=:]\s*(?:Some\()?\\+")[^"\\]*"#),
        named(r#"["'\\]*\s*[=:]\s*(?:Some\()?")(?:[^"\\]|\\.)*"#),
        named(r#"["'\\]*\s*[=:]\s*')[^'\\]*"#),
        named(r#"\s*[=:]\s*)[^\s"'\\&,;}()\[\]]+"#),
        rule(r"[A-Za-z0-9._%+-]+(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", "[e-mail]"),
        rule(r#"((?:/home/|/Users/|[A-Za-z]:\\+Users\\+))[^/\\\s"':,;<>]+"#, "${1}[owner]"),
    ]
});

static KEY_BEGIN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:[^\[].*|$)?\z"));
static KEY_END: LazyLock<Regex> = LazyLock::new(|| pattern(r"-----END [A-Z0-9 ]*PRIVATE KEY-----"));

/// Bytes, not characters: a foreign log may hold anything.
fn pattern(text: &str) -> Regex {
    RegexBuilder::new(text)
        .unicode(false)
        .case_insensitive(true)
        .build()
        .unwrap_or_else(|error| unreachable!("a fixed pattern is sound: {error}"))
}

/// Where the home folder lies elsewhere than usual, its last part names the owner.
fn owner_of(home: &Path) -> Option<Regex> {
    let name = home.file_name()?.to_str()?;
    let above = home.parent()?.to_str()?;
    if name == "root" || above.len() < 2 {
        return None;
    }
    let text = format!(r"({}[/\\]+){}\b", regex::escape(above), regex::escape(name));
    RegexBuilder::new(&text).unicode(false).build().ok()
}

fn replace<'a>(line: Cow<'a, [u8]>, pattern: &Regex, with: &str) -> Cow<'a, [u8]> {
    if !pattern.is_match(&line) {
        return line;
    }
    let clean = if with.contains('$') {
        pattern.replace_all(&line, with.as_bytes())
    } else {
        pattern.replace_all(&line, NoExpand(with.as_bytes()))
    };
    Cow::Owned(clean.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(text: &str) -> String {
        String::from_utf8(Redactor::new(Some(Path::new("/srv/people/alice"))).redact(text.as_bytes()))
            .unwrap()
    }

    #[test]
    fn tokens_are_taken_out_of_every_shape_they_come_in() {
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";
        for line in [
            format!("Authorization: Bearer {jwt}"),
            "authorization: bearer abcdef0123456789".to_owned(),
            format!(r#"{{"access_token":"{jwt}","x":1}}"#),
            format!("token {jwt} was taken"),
            r#"{"refresh_token":"abcdef0123456789"}"#.to_owned(),
            r#"{"body":"{\"refresh_token\":\"abcdef0123456789\",\"n\":1}"}"#.to_owned(),
            "refresh_token=abcdef0123456789&grant_type=x".to_owned(),
            "X-Nomad-Token: abcdef0123456789".to_owned(),
            "Cookie: abcdef0123456789".to_owned(),
            r#"Grant { token: Some("abcdef0123456789"), password: "abcdef\"0123456789" }"#.to_owned(),
            "{'password': 'abcdef0123456789'}".to_owned(),
            "https://alice:abcdef0123456789@host/".to_owned(),
        ] {
            let clean = redact(&line);
            assert!(!clean.contains("abcdef0123456789") && !clean.contains("eyJ"), "{line} became {clean}");
            assert!(clean.contains("[redacted]"), "{clean}");
        }
    }

    #[test]
    fn a_redacted_json_line_is_still_json() {
        let line =
            r#"{"message":"got {\"refresh_token\":\"abc123\",\"n\":1}","token":"xyz","secret":5,"n":1}"#;
        let clean = redact(line);
        assert!(!clean.contains("abc123") && !clean.contains("xyz"), "{clean}");
        let value: Option<serde_json::Value> = serde_json::from_str(&clean).ok();
        assert!(value.is_some_and(|value| value["n"] == 1), "{clean}");
    }

    #[test]
    fn a_presigned_address_keeps_its_path_and_loses_its_query() {
        let url = "PUT http://s3:1/b/d-1/app/x.log.gz?X-Amz-Algorithm=AWS4&X-Amz-Credential=K%2F2026&X-Amz-Signature=5f";
        assert_eq!(redact(url), "PUT http://s3:1/b/d-1/app/x.log.gz?[redacted]");
        let escaped = r#"{"url":"http://s3/b/k?a=1\u0026X-Amz-Credential=K\u0026X-Amz-Signature=5f","n":1}"#;
        assert_eq!(redact(escaped), r#"{"url":"http://s3/b/k?[redacted]","n":1}"#);
        assert_eq!(redact("X-Amz-Signature: 5f00ee"), "X-Amz-Signature: [redacted]");
    }

    #[test]
    fn a_private_key_is_taken_out_in_one_line_and_over_many() {
        let inline = r#"{"k":"-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n","n":1}"#;
        let clean = redact(inline);
        assert!(!clean.contains("MIGH") && clean.ends_with(r#","n":1}"#), "{clean}");

        let mut redactor = Redactor::new(None);
        let mut lines = Vec::new();
        for line in
            ["a -----BEGIN EC PRIVATE KEY-----\n", "MHcCAQEE\n", "-----END EC PRIVATE KEY----- b\n", "c\n"]
        {
            lines.extend(redactor.redact(line.as_bytes()));
        }
        let clean = String::from_utf8(lines).unwrap();
        assert!(!clean.contains("MHc"), "{clean}");
        assert!(clean.ends_with("[redacted] b\nc\n") && clean.lines().count() == 4, "{clean}");
    }

    #[test]
    fn a_key_that_never_ends_does_not_swallow_the_log() {
        let mut redactor = Redactor::new(None);
        let mut text = "-----BEGIN PRIVATE KEY-----\n".to_owned();
        text.push_str(&"x\n".repeat(LONGEST_KEY_LINES as usize));
        text.push_str("later\n");
        let clean = String::from_utf8(redactor.redact(text.as_bytes())).unwrap();
        assert!(clean.ends_with("later\n"), "{clean}");
    }

    #[test]
    fn addresses_and_the_owners_name_are_taken_out() {
        assert_eq!(redact("mail to alice.b+x@example.test now"), "mail to [e-mail] now");
        assert_eq!(redact("/home/alice/.config and /Users/al"), "/home/[owner]/.config and /Users/[owner]");
        assert_eq!(redact(r#"{"p":"C:\\Users\\Al Ice\\x"}"#), r#"{"p":"C:\\Users\\[owner] Ice\\x"}"#);
        assert_eq!(redact("open /srv/people/alice/logs"), "open /srv/people/[owner]/logs");
    }

    #[test]
    fn ordinary_lines_pass_unchanged() {
        for line in [
            r#"{"timestamp":"2026-11-23T06:36:53.1Z","level":"INFO","message":"online","node":"d-0f","seconds":1.5}"#,
            "client: node registration complete",
            "certificate BEGIN CERTIFICATE and the words bearer of news",
            "",
        ] {
            assert_eq!(redact(line), line);
        }
    }

    #[test]
    fn bytes_that_are_no_text_stay_as_they_are() {
        let line = b"\xff\xfe Bearer 0123456789abcdef \x00\n";
        assert_eq!(Redactor::new(None).redact(line), b"\xff\xfe Bearer [redacted] \x00\n");
    }
}
